"""Masks that were made elsewhere: scored and compared without any CT, and nothing trained."""

import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from checkout import copy_checkout, merged

AFFINE = np.diag([-2.0, 2.0, 8.0, 1.0])
# In their order. Names are text, whatever they mean to a shell, Snakemake, Markdown or LaTeX.
STUDIES = ["\"q\" 'q' & <b", "$HOME $x$ |é|, a=b:c", "*y* `z` ~n", "100 % {x y} {"]
STUDIES += ["study_0005", "study_0006", "study_0007", "study_0008"]
CONFIG = {
    "dataset": {"phantom": None, "root": "data"},
    "split": {"protocol": "cross-validation", "folds": 2},
    "seeds": [0, 1],
    "models": {
        "near": {"label": "{nearly} 95 % & <b>$right$</b>", "predictions": "near/"},
        "far": {"predictions": "far"},
    },
    "compare": ["far", "near"],
    "pathvars": {"results": "results/external", "logs": "logs/external"},
}


def reference(number):
    """A box of lesion on a grid of 12 × 10 × 6 voxels, another for each study."""
    mask = np.zeros((12, 10, 6), np.uint8)
    mask[2 : 5 + number % 3, 3 : 6 + number % 2, 1:4] = 1
    return mask


def write(path, mask, turn=False):
    """Write a mask, if asked for with its axes in another order and direction, which moves nothing in the world."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(mask, AFFINE)
    nib.save(image.as_reoriented(np.array([[2, 1], [0, -1], [1, -1]])) if turn else image, path)


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    """A checkout that has compared masks shifted by one and by two voxels, with several naming schemes and axes."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("external"))
    for number, study in enumerate(STUDIES):
        mask = reference(number)
        write(checkout.folder / "data" / "masks" / f"{study}_mask.nii.gz", mask)
        write(checkout.folder / "near" / f"{study}.nii.gz", np.roll(mask, 1, axis=0))
        far = f"{study}_mask.nii.gz" if number % 2 else f"{study}.NII"
        write(checkout.folder / "far" / far, np.roll(mask, 2, axis=0), turn=number % 3 == 0)
    checkout.snakemake(config=CONFIG)
    return checkout


@pytest.fixture(scope="module")
def results(checkout):
    return checkout.folder / "results" / "external"


def test_every_study_is_scored_once(results):
    dice = pd.read_csv(results / "tables" / "per_study.csv", index_col="study")
    assert dice.index.tolist() == STUDIES
    for number, study in enumerate(STUDIES):
        width = 3 + number % 3
        assert dice.loc[study].to_dict() == pytest.approx({"far": (width - 2) / width, "near": (width - 1) / width})
    assert len(list((results / "metrics").glob("*/fold-*/seed-*"))) == 4


def test_the_better_masks_are_told_apart_but_two_folds_show_nothing_of_other_trainings(results):
    comparison = pd.read_csv(results / "tables" / "comparison.csv")
    assert comparison["label"].tolist() == ["far", "{nearly} 95 % & <b>$right$</b>"]
    assert comparison["sd_over_seeds"].isna().all()
    pairs = pd.read_csv(results / "tables" / "pairwise.csv")
    assert pairs[["networks_differ", "different"]].to_numpy().tolist() == [[True, False]]


def test_nothing_is_made_that_needs_a_ct_or_a_training(results):
    assert not {path.name for path in results.iterdir()} & {"slices", "models", "predictions"}
    figures = {path.stem for path in (results / "figures").iterdir()}
    assert {"class_pie", "dice_by_model", "rank_stability", "volume_agreement"} <= figures
    assert not figures & {"example_slice", "model_grid_1", "predictions", "learning_curves", "dice_by_cost"}
    assert not (results / "tables" / "cost.csv").exists()
    inventory = pd.read_csv(results / "dataset" / "studies.csv")
    assert inventory["ct"].isna().all() and (inventory["axial_slices"] == 6).all()


def test_a_study_of_any_name_is_cut_into_slices(checkout):
    study, scans = STUDIES[1], checkout.folder / "scans"
    for number, name in enumerate(STUDIES[:3]):
        write(scans / "masks" / f"{name}_mask.nii.gz", reference(number))
        ct = np.where(reference(number), -400, np.where(np.arange(12) < 6, -1000, 40)[:, None, None])
        write(scans / "studies" / "CT-1" / f"{name}.nii.gz", ct.astype(np.int16))
    config = {"dataset": {"root": "scans"}, "split": {"protocol": "holdout"}, "pathvars": {"results": "results/cut"}}
    slices = f"results/cut/slices/axial_-1000_1000/{study}.npz"
    checkout.snakemake(slices, config=merged(CONFIG, config))
    assert np.load(checkout.folder / slices)["mask"].sum() == reference(1).sum()


def test_only_a_changed_mask_is_scored_again(checkout):
    folder = checkout.folder / "near"
    (folder / "notes.txt").write_text("Made with another tool.")
    assert checkout.would_run(**CONFIG) == {}
    path = folder / f"{STUDIES[0]}.nii.gz"
    before = path.read_bytes()
    write(path, reference(0))
    jobs = checkout.would_run(**CONFIG)
    path.write_bytes(before)
    assert jobs["evaluate"] == jobs["compare"] == 1 and "inventory" not in jobs


def test_a_missing_mask_stops_before_anything_runs(checkout):
    absent = {"models": {"near": {"predictions": "nowhere"}}, "pathvars": {"results": "results/absent"}}
    output = checkout.snakemake(config=merged(CONFIG, absent), check=False)
    assert 'models.near.predictions: 8 of 8 test studies have no mask there ("q' in output
    assert f"nowhere/{STUDIES[0]}.nii.gz" in output and not (checkout.folder / "results" / "absent").exists()


def test_an_unusable_mask_is_named_and_the_other_runs_are_kept(checkout):
    for number, study in enumerate(STUDIES):
        mask = reference(number)
        write(checkout.folder / "bad" / f"{study}.nii.gz", mask[:-1] if study == STUDIES[3] else mask)
    bad = {"models": {"bad": {"predictions": "bad"}}, "compare": ["near", "bad"]}
    output = checkout.snakemake("--keep-going", config=merged(CONFIG, bad), check=False)
    assert f"{STUDIES[3]}: reference and prediction lie on different grids" in output
    assert "Scoring bad, fold" in output and "Traceback" not in output
    metrics = checkout.folder / "results" / "external" / "metrics" / "bad"
    kept = [pd.read_csv(path)["study"].tolist() for path in metrics.glob("fold-*/seed-0/studies.csv")]
    assert len(kept) == 1 and STUDIES[3] not in kept[0]
    last = output.partition("At least one job did not complete successfully.")[2]
    assert re.search(rf"Scoring bad, fold ., seed 0 failed: {STUDIES[3]}: reference and .*\n  Log: logs/\S+", last)
    assert re.search(r"1 of 4 runs without scores: bad \(fold [01], seed 0\)\. What has finished is kept", last)
