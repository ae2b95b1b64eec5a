"""From what several models predict of a study to one mask: the mean of their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.studies import find_prediction
from lesionbench.data.volume import Volume, match_grid


@dataclass(frozen=True)
class Member:
    """The folder of a run's predictions.

    made_here: whether it holds probabilities; of a mask from elsewhere they are 0 and 1, and the mean is a vote.
    """

    folder: str | Path
    made_here: bool


def average(members: Sequence[Member], study: str, reading: Reading = AS_IS) -> Volume:
    """Return the mean probability of lesion, float32 of 0 to 1, on the grid of the first member's prediction.

    reading: of masks from elsewhere. Raises UserError, naming the study, where the members' grids differ.
    """
    first, *others = (_read(member, study, reading) for member in members)
    total = first.data.astype(np.float32)
    for other in others:
        total += match_grid(study, first, other, names=("the first member's prediction", "another member's")).data
    return Volume(total / np.float32(len(members)), first.affine, first.forms)
