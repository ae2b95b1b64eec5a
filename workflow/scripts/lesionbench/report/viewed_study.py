"""The worst, the median and the best study as the report shows them: from files of the workflow to a page's content."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.slices import load_stack
from lesionbench.data.studies import find_prediction
from lesionbench.data.volume import Volume, from_slices, match_grid
from lesionbench.report.shown_slices import median_dice, viewed_study
from lesionbench.report.tables import format_number
from lesionbench.report.viewer import Mask, Shown


def ranked_study(
    rank: str,
    ranks: Sequence[str],
    stacks: Mapping[str, str | Path],
    predictions: Mapping[str, str | Path],
    slices: Sequence[pd.DataFrame],
    results: str | Path,
    reading: Reading = AS_IS,
) -> Shown:
    """Return what a page shows of the study that has a rank by the median over models of its Dice.

    ranks: all that pages are made of; stacks: slices by study; predictions: the folder of each model's masks by its
    name in words; slices: each model's scores a slice; results: the folder of all results; reading: how the data set
    is read.

    Raises UserError where a mask cannot be read, or lies on another grid.
    """
    dice = median_dice(slices)
    study, word = viewed_study(dice, rank, ranks)
    stack = load_stack(stacks[study])
    ct = Volume(from_slices(stack.image, stack.affine, stack.plane), stack.affine)
    reference = None if stack.mask is None else Mask("Reference", from_slices(stack.mask, stack.affine, stack.plane))
    masks = [
        Mask(label, match_grid(study, ct, read_mask(find_prediction(folder, study), reading), names=("CT", label)).data)
        for label, folder in predictions.items()
    ]
    what = "A test study without lesion."
    if word:
        what = f"The {word} test study with lesion: median Dice of the models {format_number(dice[study], 2)}."
    command = shlex.join(["lesionbench", "view", str(results), study])
    clipped = f"HU are clipped to the experiment’s window. Unclipped and at full resolution: {command}"
    return Shown(study, ct, masks, reference, notes=[what, clipped])
