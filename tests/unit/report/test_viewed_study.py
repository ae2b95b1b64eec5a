"""The worst, the median and the best study are those of the models' median Dice."""

import numpy as np
import pandas as pd
import pytest

from lesionbench.data.nifti import write_mask
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.slices import save_stack, stack_slices
from lesionbench.data.volume import Volume
from lesionbench.report.viewed_study import ranked_study
from oriented import LAS

RANKS = ["worst", "median", "best"]
SHIFTS = {"a": 0, "b": 3, "c": 1}  # of the prediction: the more, the worse


@pytest.fixture
def files(tmp_path):
    """Three studies with lesion and one without; two models that differ in one study; their scores a slice."""
    rows = {"first": [], "second": []}
    stacks = {}
    for study in [*SHIFTS, "without"]:
        reference = np.zeros((12, 10, 4), np.uint8)
        reference[2:6, 2:6, 1:3] = study in SHIFTS
        ct = Volume(np.full(reference.shape, -700, np.int16), LAS)
        stacks[study] = tmp_path / f"{study}.npz"
        save_stack(stack_slices(study, ct, Volume(reference, LAS), Preprocessing("coronal")), stacks[study])
        for model, lines in rows.items():
            mask = np.roll(reference, SHIFTS.get(study, 0) + (model == "second"), axis=0)
            write_mask(tmp_path / model / f"{study}.nii.gz", mask, LAS)
            voxels, both = int(reference.sum()), int((reference & mask).sum())
            lines.append([study, 0, voxels, voxels, both / voxels if voxels else np.nan])
    columns = ["study", "slice", "reference_voxels", "predicted_voxels", "dice"]
    scores = [pd.DataFrame(lines, columns=columns) for lines in rows.values()]
    folders = {"First": tmp_path / "first", "Second": tmp_path / "second"}
    return stacks, folders, scores, "results/mine"


@pytest.mark.parametrize(
    ("rank", "study", "dice"), [("worst", "b", "0.12"), ("median", "c", "0.62"), ("best", "a", "0.88")]
)
def test_studies_are_ranked_by_the_median_over_models(files, rank, study, dice):
    shown = ranked_study(rank, RANKS, *files)
    assert (
        shown.title == study
        and f"The {rank} test study with lesion: median Dice of the models {dice}" in shown.notes[0]
    )
    assert shown.notes[-1].endswith(f"at full resolution: lesionbench view results/mine {study}")


def test_scan_and_masks_are_on_the_grid_of_the_scan(files):
    shown = ranked_study("best", RANKS, *files)
    np.testing.assert_allclose(shown.ct.affine, LAS)
    assert (shown.ct.data == -700).all() and [mask.name for mask in shown.masks] == ["First", "Second"]
    assert (np.argwhere(shown.reference.data)[[0, -1]] == [[2, 2, 1], [5, 5, 2]]).all()
    assert (shown.masks[1].data == np.roll(shown.reference.data, 1, axis=0)).all()


def test_where_few_studies_have_a_lesion_others_stand_in(files):
    stacks, folders, scores, results = files
    few = [scores[scores["study"].isin(["a", "without"])] for scores in scores]
    worst, best = (ranked_study(rank, ["worst", "best"], stacks, folders, few, results) for rank in ("worst", "best"))
    assert (worst.title, best.title) == ("a", "without")
    assert "The only test study" in worst.notes[0] and best.notes[0] == "A test study without lesion."
