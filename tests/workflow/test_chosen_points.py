"""Operating points are chosen on validation studies alone, and used wherever a run predicts."""

import csv
import json
import shutil
from contextlib import contextmanager

import nibabel as nib
import numpy as np
import pytest

from checkout import Checkout

CHOSEN = {
    "evaluation": {"threshold": "validation", "min_component_mm3": "validation", "probabilities": True},
    "models": {"mobile": {"evaluation": {"threshold": 0.4, "min_component_mm3": 20}}},
}


@pytest.fixture(scope="module")
def chosen(finished, tmp_path_factory):
    """The finished experiment, of which one model then chose its operating point, and the other has numbers."""
    folder = tmp_path_factory.mktemp("chosen") / "checkout"
    shutil.copytree(finished.folder, folder)
    checkout = Checkout(folder)
    before = checkout.would_run(**CHOSEN)
    assert before["predict_validation"] == before["choose_operating_point"] == 1 and before["predict"] == 2
    assert "train" not in before
    checkout.snakemake(config=CHOSEN)
    return checkout


def studies_of(checkout, subset):
    with (checkout.folder / "results/tiny/splits/fold-0.csv").open() as file:
        return [row["study"] for row in csv.DictReader(file) if row["subset"] == subset]


@contextmanager
def changed_mask(checkout, subset):
    """Change the mask of one study of a subset inside the block."""
    mask = checkout.folder / f"results/tiny/phantom/masks/{studies_of(checkout, subset)[0]}_mask.nii.gz"
    before = mask.read_bytes()
    mask.write_bytes(before + b"\0")
    try:
        yield
    finally:
        mask.write_bytes(before)


def test_masks_are_what_reaches_the_chosen_threshold_and_the_given_one(chosen):
    results = chosen.folder / "results/tiny"
    point = json.loads((results / "models/small/fold-0/seed-0/operating_point.json").read_text())
    assert point["studies"] == studies_of(chosen, "validation") and len(point["by_threshold"]["dice"]) == 255
    assert not (results / "models/mobile/fold-0/seed-0/operating_point.json").exists()
    for model, threshold in (("small", point["threshold"]), ("mobile", 0.4)):
        for study in studies_of(chosen, "test"):
            folder = results / f"predictions/{model}/fold-0/seed-0"
            probability = nib.load(folder / f"probabilities/{study}.nii.gz").get_fdata()
            mask = np.asarray(nib.load(folder / f"{study}.nii.gz").dataobj) > 0
            assert probability[mask].min(initial=1) >= threshold - 0.51 / 255
    assert (results / "tables/operating_points.csv").is_file() and (results / "figures/operating_points.png").is_file()
    assert chosen.would_run(**CHOSEN) == {}


def test_a_changed_mask_of_a_test_study_chooses_nothing_again(chosen):
    with changed_mask(chosen, "test"):
        jobs = chosen.would_run(**CHOSEN)
    assert jobs["evaluate"] == 2 and not {"train", "predict_validation", "choose_operating_point"} & set(jobs)


def test_a_changed_mask_of_a_validation_study_chooses_again(chosen):
    with changed_mask(chosen, "validation"):
        assert chosen.would_run(**CHOSEN)["choose_operating_point"] == 1
