"""The main job on real CT: two epochs of a pretrained model in both planes, to the table and the figures."""

import os

import pandas as pd
import pytest

from checkout import copy_checkout


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    return copy_checkout(repository, tmp_path_factory.mktemp("real"))


@pytest.mark.parametrize(("plane", "slices"), [("axial", 643), ("coronal", 13 * 128)])
def test_from_ct_to_the_table_and_figures(checkout, test_data, test_weights, plane, slices):
    checkout.snakemake(
        config={
            "dataset": {"phantom": None, "root": os.path.relpath(test_data / "covid-ct-20", checkout.folder)},
            "preprocessing": {"plane": plane},
            "training": {"max_epochs": 2, "learning_rate": 0.0001},
            "models": {"mobile": {"encoder_weights": os.path.relpath(test_weights, checkout.folder)}},
            "compare": ["mobile"],
            "pathvars": {"results": f"results/{plane}", "logs": f"logs/{plane}"},
        }
    )
    results = checkout.folder / "results" / plane
    counts = pd.read_csv(results / "tables" / "slices_by_subset.csv").set_index("subset")
    assert counts["studies"].to_dict() == {"train": 9, "validation": 1, "test": 3, "total": 13}
    assert counts.loc["total", "slices"] == slices
    comparison = pd.read_csv(results / "tables" / "comparison.csv")
    assert comparison.loc[0, "mean_dice"] > 0
    assert len(list(results.glob("predictions/mobile/fold-0/seed-0/*.nii.gz"))) == 3
    names = ["class_pie", "example_slice", "learning_curves", "predictions/mobile", "model_grid_1", "dice_by_model"]
    for name in names:
        assert (results / "figures" / f"{name}.png").stat().st_size > 10_000, name
