"""A whole run in its tiny form, as its users see it."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from checkout import TINY
from lesionbench.cli import main

MODELS = TINY["compare"]
RUN = "fold-0/seed-0"


@pytest.fixture(scope="module")
def results(finished):
    return finished.folder / "results" / "tiny"


def test_every_study_is_in_one_subset_and_only_test_studies_are_scored(results):
    split = pd.read_csv(results / "splits" / "fold-0.csv")
    inventory = pd.read_csv(results / "dataset" / "studies.csv")
    assert sorted(split["study"]) == sorted(inventory.loc[inventory["mask"].notna(), "study"])
    tested = split.loc[split["subset"] == "test", "study"].tolist()
    for model in MODELS:
        assert pd.read_csv(results / "metrics" / model / RUN / "studies.csv")["study"].tolist() == tested


@pytest.mark.parametrize("model", MODELS)
def test_predictions_lie_on_the_grid_of_their_ct(results, model):
    masks = sorted((results / "predictions" / model / RUN).glob("*.nii.gz"))
    assert masks
    for path in masks:
        mask, ct = nib.load(path), nib.load(results / "phantom" / "studies" / "CT-1" / path.name)
        assert mask.shape == ct.shape
        np.testing.assert_allclose(mask.affine, ct.affine, atol=1e-5)
        assert set(np.unique(mask.dataobj)) <= {0, 1}


@pytest.mark.parametrize("model", MODELS)
def test_a_run_says_what_made_it(results, model):
    run = json.loads((results / "models" / model / RUN / "run.json").read_text())
    history = pd.read_csv(results / "models" / model / RUN / "history.csv")
    assert run["epochs"] == len(history) == 1 and run["best_epoch"] == 1
    split = pd.read_csv(results / "splits" / "fold-0.csv").set_index("study")["subset"]
    for subset in ("train", "validation"):
        assert sorted(run["inputs_sha256"][subset]) == sorted(split.index[split == subset])
    assert not list((results / "models" / model / RUN).glob("*state*"))


def test_the_comparison_agrees_with_the_scores(results):
    comparison = pd.read_csv(results / "tables" / "comparison.csv").set_index("model")
    assert comparison.index.tolist() == MODELS
    for model in MODELS:
        dice = pd.read_csv(results / "metrics" / model / RUN / "studies.csv")["dice"]
        assert comparison.loc[model, "mean_dice"] == pytest.approx(dice.mean())


def test_the_slice_table_counts_the_stacks(results):
    table = pd.read_csv(results / "tables" / "slices_by_subset.csv").set_index("subset")
    stacks = [np.load(path)["image"] for path in sorted((results / "slices").glob("*/*.npz"))]
    assert table.loc["total", "slices"] == sum(map(len, stacks))


def test_all_tables_and_figures_are_there(results):
    scores = ("comparison", "pairwise", "per_study", "metrics", "volumes", "lesions", "subgroups", "readings")
    for name in (*scores, "cost", "slices_by_subset"):
        for suffix in ("csv", "md", "tex", "html"):
            assert (results / "tables" / f"{name}.{suffix}").stat().st_size > 0
    figures = {
        path.relative_to(results / "figures").with_suffix("").as_posix() for path in results.glob("figures/**/*.png")
    }
    expected = {"class_pie", "example_slice", "learning_curves", "model_grid_1", "model_grid_2", "dice_by_model"}
    expected |= {"pairwise_differences", "dice_readings", *(f"predictions/{model}" for model in MODELS)}
    expected |= {"rank_stability", "rank_agreement", "volume_agreement", "dice_by_cost", "dice_by_subgroup"}
    assert figures == expected


def test_segment_gives_the_mask_that_predict_gave(results, tmp_path, capsys):
    run, predicted = results / "models" / "mobile" / RUN, results / "predictions" / "mobile" / RUN
    path = next(predicted.glob("*.nii.gz"))
    scan = results / "phantom" / "studies" / "CT-1" / path.name
    assert main(["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]) == 0
    np.testing.assert_array_equal(nib.load(tmp_path / "mask.nii.gz").dataobj, nib.load(path).dataobj)
