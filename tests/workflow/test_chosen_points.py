"""Operating points are chosen on validation studies alone and then used; probabilities that are kept are judged."""

import csv
import json
import os
import shutil
from contextlib import contextmanager

import nibabel as nib
import numpy as np
import pytest

from checkout import Checkout
from lesionbench.data.frames import read_frame

CHOSEN = {
    "evaluation": {"threshold": "validation", "min_component_mm3": "validation", "probabilities": True},
    "models": {"mobile": {"evaluation": {"threshold": 0.4, "min_component_mm3": 20}}},
}
MADE = [f"results/tiny/{name}" for name in ("tables/operating_points.csv", "figures/operating_points.png")]
MADE += [f"results/tiny/{name}" for name in ("tables/calibration.csv", "figures/reliability.png")]


@pytest.fixture(scope="module")
def chosen(finished, tmp_path_factory):
    """The finished experiment, of which one model then chooses its operating point, and the other has numbers."""
    folder = tmp_path_factory.mktemp("chosen") / "checkout"
    shutil.copytree(finished.folder, folder)
    checkout = Checkout(folder)
    jobs = checkout.would_run(**CHOSEN)
    assert jobs["predict_validation"] == jobs["choose_operating_point"] == 1
    assert jobs["predict"] == jobs["calibrate"] == 2 and "train" not in jobs
    checkout.snakemake(*MADE, config=CHOSEN)
    return checkout


def studies_of(checkout, subset):
    with (checkout.folder / "results/tiny/splits/fold-0.csv").open() as file:
        return [row["study"] for row in csv.DictReader(file) if row["subset"] == subset]


@contextmanager
def changed_mask(checkout, subset):
    """Change the mask of one study of a subset inside the block."""
    mask = checkout.folder / f"results/tiny/phantom/masks/{studies_of(checkout, subset)[0]}_mask.nii.gz"
    before, times = mask.read_bytes(), mask.stat()
    mask.write_bytes(before + b"\0")
    try:
        yield
    finally:
        mask.write_bytes(before)
        os.utime(mask, ns=(times.st_atime_ns, times.st_mtime_ns))


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
    listed = read_frame(results / "tables/operating_points.csv")
    assert listed["model"].tolist() == ["small"] and listed["threshold"].tolist() == [point["threshold"]]
    assert read_frame(results / "tables/calibration.csv")["model"].tolist() == ["small", "mobile"]
    assert not {"predict", "predict_validation", "choose_operating_point"} & set(chosen.would_run(**CHOSEN))


def test_a_changed_mask_of_a_test_study_chooses_nothing_again(chosen):
    with changed_mask(chosen, "test"):
        jobs = chosen.would_run(**CHOSEN)
    assert jobs["predict"] == 2 and not {"train", "predict_validation", "choose_operating_point"} & set(jobs)


def test_a_changed_mask_of_a_validation_study_chooses_again(chosen):
    with changed_mask(chosen, "validation"):
        assert chosen.would_run(**CHOSEN)["choose_operating_point"] == 1


def test_another_number_for_a_threshold_predicts_again_and_trains_nothing(chosen):
    jobs = chosen.would_run(
        **CHOSEN | {"models": {"mobile": {"evaluation": {"threshold": 0.6, "min_component_mm3": 20}}}}
    )
    assert jobs["predict"] == 1 and not {"train", "predict_validation", "choose_operating_point"} & set(jobs)
