"""The published masks of MosMedData as rows of a comparison, without any CT: themselves, and moved by 2 voxels."""

import os

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from checkout import copy_checkout
from lesionbench.experiment.plan import plan_experiment


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    return copy_checkout(repository, tmp_path_factory.mktemp("real-external"))


def test_real_masks_are_compared_without_ct(checkout, test_data):
    root = test_data / "mosmed-masks"
    config = {
        "dataset": {"phantom": None, "root": os.path.relpath(root, checkout.folder)},
        "models": {
            "same": {"label": "Reference", "predictions": os.path.relpath(root / "masks", checkout.folder)},
            "moved": {"label": "Moved", "predictions": "moved"},
        },
        "compare": ["same", "moved"],
        "pathvars": {"results": "results/masks", "logs": "logs/masks"},
    }
    same = {"predictions": str(root / "masks")}
    planned = plan_experiment({"dataset": {"root": str(root)}, "models": {"same": same}, "compare": ["same"]})
    tested = planned.folds[0].test
    assert len(tested) == 10
    (checkout.folder / "moved").mkdir()
    dice = {}
    for study in tested:
        mask = nib.load(root / "masks" / f"{study}_mask.nii.gz")
        reference = np.asarray(mask.dataobj).astype(np.uint8)
        moved = np.roll(reference, 2, axis=0)
        nib.save(nib.Nifti1Image(moved, mask.affine), checkout.folder / "moved" / f"{study}.nii.gz")
        dice[study] = 2 * (reference & moved).sum() / (reference.sum() + moved.sum())

    checkout.snakemake(config=config)
    results = checkout.folder / "results" / "masks"
    scores = pd.read_csv(results / "tables" / "per_study.csv", index_col="study")
    assert (scores["same"] == 1).all()
    assert scores["moved"].to_dict() == pytest.approx(dice)
    details = pd.read_csv(results / "metrics" / "moved" / "fold-0" / "seed-0" / "studies.csv")
    assert (details["hd95_mm"] <= 2 * 1.15).all() and (details["false_slices"] == 0).all()
    assert pd.read_csv(results / "tables" / "pairwise.csv")["different"].tolist() == [True]
    assert pd.read_csv(results / "dataset" / "classes.csv")["studies"].sum() == 1110
    for name in ("class_pie", "dice_by_model", "rank_stability", "volume_agreement"):
        assert (results / "figures" / f"{name}.png").stat().st_size > 5_000, name
