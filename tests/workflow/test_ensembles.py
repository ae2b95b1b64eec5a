"""An ensemble across planes, with operating points chosen, on test studies and on an external set."""

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest

from checkout import copy_checkout, merged
from lesionbench.data.frames import read_frame
from lesionbench.data.phantom import write_phantom
from lesionbench.data.studies import Phantom

RUN = "fold-0/seed-0"
TARGETS = [f"results/tiny/{name}" for name in ("tables/cost.csv", "summary.html", "external/other/comparison.json")]
SMALL = {"architecture": "classic-unet", "options": {"width": 2}}
CONFIG = {
    "models": {
        "side": {**SMALL, "preprocessing": {"plane": "coronal", "hu_window": [-1000, 400]}},
        "both": {"label": "Both planes", "members": ["small", "side"]},
    },
    "compare": ["small", "both"],
    "evaluation": {"threshold": "validation", "min_component_mm3": "validation"},
    "external": {"other": {"root": "other", "same_names": True}},
}


@pytest.fixture(scope="module")
def run(repository, tmp_path_factory):
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("ensembles"))
    write_phantom(checkout.folder / "other", Phantom(studies=3, annotated=3, size=32, slices=(6, 6), seed=1))
    checkout.snakemake(*TARGETS, config=CONFIG)
    return checkout


@pytest.fixture(scope="module")
def results(run):
    return run.folder / "results" / "tiny"


def split_of(results, subset):
    """The studies of a subset."""
    split = read_frame(results / "splits" / "fold-0.csv")
    return set(split.loc[split["subset"] == subset, "study"])


def load(path):
    return nib.load(path).get_fdata()


@pytest.mark.parametrize("set_of", ["", "external/other/"])
def test_its_masks_are_the_mean_of_its_members_at_the_point_that_was_chosen(results, set_of):
    point = json.loads((results / "models" / "both" / RUN / "operating_point.json").read_text())
    folders = {model: results / set_of / "predictions" / model / RUN for model in ("small", "side", "both")}
    masks = sorted(folders["both"].glob("*.nii.gz"))
    assert len(masks) == (3 if set_of else 1)
    for path in masks:
        members = [load(folders[model] / "probabilities" / path.name) for model in ("small", "side")]
        expected = np.mean(members, axis=0) >= point["threshold"] - 1e-6
        mask = load(path) > 0
        assert not (mask & ~expected).any()
        if not point["min_component_mm3"]:
            assert (mask == expected).all()


def test_a_member_that_is_not_compared_is_trained_and_in_no_table_of_scores(results):
    assert (results / "models" / "side" / RUN / "weights.safetensors").is_file()
    assert read_frame(results / "tables" / "comparison.csv")["model"].tolist() == ["small", "both"]
    assert not (results / "metrics" / "side").exists()


def test_slices_are_cut_once_for_each_plane_and_window(results):
    assert {path.name for path in (results / "slices").iterdir()} == {"axial_-1000_1000", "coronal_-1000_400"}


def test_it_costs_what_its_members_cost(results):
    cost = read_frame(results / "tables" / "cost.csv").set_index("model")
    assert cost.index.tolist() == ["small", "both"]
    assert cost.loc["both", "training_seconds"] > cost.loc["small", "training_seconds"]


def test_the_point_of_each_run_was_chosen_on_its_validation_studies(results):
    validation = split_of(results, "validation")
    for model in ("small", "both"):
        record = json.loads((results / "models" / model / RUN / "operating_point.json").read_text())
        assert set(record["studies"]) <= validation
        curve = record["by_threshold"]
        assert max(curve["dice"]) == curve["dice"][curve["threshold"].index(record["threshold"])]


def due(run, **changes):
    """The rules that a dry run lists after a change."""
    output = run.snakemake("--dry-run", *TARGETS, config=merged(CONFIG, changes))
    return set(re.findall(r"^(\w+) +\d+$", output, re.MULTILINE)) - {"total", "all"}


def test_nothing_is_due_when_all_is_done(run):
    assert due(run) == set()


def test_a_changed_test_mask_chooses_nothing_again(run, results):
    (study,) = split_of(results, "test")
    path = results / "phantom" / "masks" / f"{study}_mask.nii.gz"
    aside = shutil.copy2(path, run.folder / "aside.nii.gz")
    mask = nib.load(path)
    nib.save(nib.Nifti1Image(1 - np.asarray(mask.dataobj), mask.affine), path)
    assert "evaluate" in due(run) and not {"choose_operating_point", "predict_validation", "train"} & due(run)
    shutil.copy2(aside, path)


def test_other_members_average_again_and_train_nothing(run):
    jobs = due(run, models={"both": {"members": ["side"]}})
    assert {"average", "average_external", "evaluate", "compare"} <= jobs and "train" not in jobs


def test_a_given_threshold_predicts_again_and_chooses_nothing(run):
    jobs = due(run, evaluation={"threshold": 0.4, "min_component_mm3": 0})
    assert {"predict", "average"} <= jobs and not {"train", "choose_operating_point", "predict_validation"} & jobs
