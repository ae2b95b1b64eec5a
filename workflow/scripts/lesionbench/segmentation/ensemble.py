"""What several models predict of a study, averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.studies import find_prediction
from lesionbench.data.volume import Volume, match_grid
from lesionbench.segmentation.probabilities import LEVELS, probability_path, read_levels

_NAMES = ("the first member's prediction", "another member's")


@dataclass(frozen=True)
class Member:
    """The folder of a run's predictions; made_here: whether it may hold probabilities, not masks alone."""

    folder: str | Path
    made_here: bool

    def levels(self, study: str, reading: Reading) -> Volume:
        """Return a study's probabilities as levels of 0 to 255; those of a mask are 0 and 255."""
        kept = probability_path(self.folder, study)
        if self.made_here and kept.is_file():
            return read_levels(kept)
        mask = read_mask(find_prediction(self.folder, study), reading)
        return Volume(mask.data * np.uint8(LEVELS), mask.affine, mask.forms)


def average(members: Sequence[Member], study: str, reading: Reading = AS_IS) -> Volume:
    """Return the mean probability of lesion, float32 of 0 to 1, on the grid of the first member's prediction.

    reading: of masks from elsewhere, whose mean is a vote. Raises UserError, naming the study, where grids differ.
    """
    first, *others = members
    whole = first.levels(study, reading)
    total = whole.data.astype(np.float32)
    for other in others:
        total += match_grid(study, whole, other.levels(study, reading), names=_NAMES).data
    return Volume(total / np.float32(LEVELS * len(members)), whole.affine, whole.forms)
