import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.phantom import lungs_of, synthesise
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.data.studies import Phantom
from lesionbench.data.volume import Volume
from lesionbench.errors import UserError
from lesionbench.models.networks import Network
from lesionbench.segmentation import batch
from lesionbench.segmentation.batch import (
    Ensemble,
    Wanted,
    chosen_point,
    load_ensemble,
    segment_one,
    segment_scans,
    where_to_look,
)
from lesionbench.segmentation.inference import Predictor, predict
from lesionbench.segmentation.inputs import find_scans
from lesionbench.segmentation.lungs import find_lungs
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.segmentation.probabilities import read_levels
from lesionbench.training.record import Record
from tiny import MODEL, PREPROCESSING, RECIPE

PHANTOM = Phantom(studies=2, annotated=2, size=48, slices=(16, 18))
ALL = Wanted(probabilities=True, preview=True)


class Certain(torch.nn.Module):
    """Stands for a network: gives lung with lesions, -750 to -250 HU, a probability of its own."""

    def __init__(self, probability):
        super().__init__()
        self.logit = np.log(probability / (1 - probability))

    def forward(self, image):
        return torch.where((image > -0.75) & (image < -0.25), self.logit, -10.0)


@pytest.fixture
def ensemble(tmp_path):
    """Two runs, one sure and one doubtful of the same voxels."""
    predictors, runs = [], []
    for number, probability in enumerate((0.9, 0.4)):
        runs.append(tmp_path / f"run-{number}")
        runs[-1].mkdir()
        (runs[-1] / "weights.safetensors").write_text(str(probability))
        network = Network(Certain(probability), stride=1)
        predictors.append(Predictor(network, Record(MODEL, RECIPE, PREPROCESSING, {}), torch.device("cpu")))
    return Ensemble(runs, predictors, OperatingPoint())


@pytest.fixture
def scans(tmp_path):
    """A folder with two scans and a file that is none."""
    for name in ("study_1", "study_2"):
        ct, _ = synthesise(name, "CT-2", PHANTOM)
        write_volume(tmp_path / "scans" / f"{name}.nii.gz", ct.data, ct.affine)
    (tmp_path / "scans/broken.nii.gz").write_bytes(b"no image")
    return tmp_path / "scans"


def state(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def test_scans_get_their_results_and_one_that_fails_is_named(scans, ensemble, tmp_path):
    out = tmp_path / "out"
    errors = segment_scans(find_scans([scans]), ensemble, ALL, out)
    assert len(errors) == 1 and "broken.nii.gz: cannot be read" in errors[0]
    assert not (out / "broken").exists()
    names = {path.name for path in (out / "study_1").iterdir()}
    assert names == {"lesion.nii.gz", "lungs.nii.gz", "probability.nii.gz", "preview.png", "report.json"}
    ct = nib.load(scans / "study_1.nii.gz")
    hu, mask = np.asarray(ct.dataobj), nib.load(out / "study_1/lesion.nii.gz")
    assert (mask.affine == ct.affine).all()
    assert (np.asarray(mask.dataobj) == ((hu > -750) & (hu < -250))).all()  # the mean 0.65 is above the threshold
    levels = read_levels(out / "study_1/probability.nii.gz").data
    assert set(np.unique(levels)) == {0, round(0.65 * 255)}
    report = json.loads((out / "study_1/report.json").read_text())
    ml = np.asarray(mask.dataobj).sum() * 7.5 * 7.5 * 8 / 1000
    assert report["lesion_ml"] == report["lesion_ml_highest"] == pytest.approx(ml)
    assert list(report["members"].values()) == [pytest.approx(ml), 0] and report["lesion_ml_lowest"] == 0
    table = pd.read_csv(out / "scans.csv")
    assert list(table["scan"]) == ["study_1", "study_2"] and (table["lungs_ml"] > 1000).all()


def test_the_same_command_makes_only_what_is_missing(scans, ensemble, tmp_path):
    out = tmp_path / "out"
    segment_scans(find_scans([scans]), ensemble, ALL, out)
    before = state(out)
    (out / "study_2/report.json").unlink()  # as if it had been killed before its end
    segment_scans(find_scans([scans]), ensemble, ALL, out)
    changed = {path.parent.name for path, time in state(out).items() if before[path] != time}
    assert changed == {"study_2", "out"}
    segment_scans(find_scans([scans]), replace(ensemble, point=OperatingPoint(0.8)), Wanted(), out)
    assert not (out / "study_1/preview.png").exists()  # what was made otherwise does not stay
    assert not read_mask(out / "study_1/lesion.nii.gz").data.any()


def test_results_that_cannot_be_written_are_told_of_their_scan_and_the_others_go_on(scans, ensemble, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/study_1").touch()
    errors = segment_scans(find_scans([scans]), ensemble, Wanted(), tmp_path / "out")
    assert len(errors) == 2 and "study_1.nii.gz: its results cannot be written" in errors[1]
    assert (tmp_path / "out/study_2/report.json").is_file()


def test_what_is_no_ct_in_hu_is_refused_unless_it_is_forced(scans, ensemble, tmp_path):
    ct, lesion = synthesise("study_1", "CT-2", PHANTOM)
    mask = tmp_path / "mask_of.nii.gz"
    write_mask(mask, lesion, ct.affine)
    with pytest.raises(UserError, match="no CT in HU"):
        segment_one(mask, tmp_path / "out.nii.gz", ensemble)
    assert not (tmp_path / "out.nii.gz").exists()
    assert segment_one(mask, tmp_path / "out.nii.gz", ensemble, force=True) == 0
    assert segment_one(scans / "study_1.nii.gz", tmp_path / "out.nii.gz", ensemble) > 0


def test_a_mask_that_cannot_be_a_lesion_is_warned_of(scans, ensemble, tmp_path, caplog):
    sure = replace(ensemble, point=OperatingPoint(1e-6))
    segment_one(scans / "study_1.nii.gz", tmp_path / "out.nii.gz", sure)
    assert "100.0% of the scan is marked" in caplog.text


def test_lungs_of_another_tool_are_taken(scans, ensemble, tmp_path):
    ct = nib.load(scans / "study_1.nii.gz")
    lungs = lungs_of("study_1", PHANTOM)
    write_mask(tmp_path / "lungs.nii.gz", lungs, ct.affine)
    wanted = Wanted(lungs=tmp_path / "lungs.nii.gz")
    assert segment_scans(find_scans([scans / "study_1.nii.gz"]), ensemble, wanted, tmp_path / "out") == []
    assert (read_mask(tmp_path / "out/study_1/lungs.nii.gz").data == lungs).all()
    write_mask(tmp_path / "lungs.nii.gz", lungs * np.uint8(7), ct.affine)
    errors = segment_scans(find_scans([scans / "study_1.nii.gz"]), ensemble, wanted, tmp_path / "out")
    assert "a mask of lungs holds 0, 1 in the right lung and 2 in the left" in errors[0]


def test_no_lungs_are_a_warning_and_no_share(ensemble, tmp_path):
    hu = np.where(np.indices((20, 20, 8)).sum(axis=0) % 2, 40, -850).astype(np.int16)
    write_volume(tmp_path / "ct.nii.gz", hu, np.eye(4))
    assert segment_scans(find_scans([tmp_path / "ct.nii.gz"]), ensemble, Wanted(), tmp_path / "out") == []
    report = json.loads((tmp_path / "out/ct/report.json").read_text())
    assert report["share_involved"] is None and "no lungs were found" in report["warnings"][0]
    assert not (tmp_path / "out/ct/lungs.nii.gz").exists()


def test_no_more_than_two_scans_are_read_at_a_time(scans, ensemble, tmp_path, monkeypatch):
    alive, most = [], []
    read_hu, write = batch.read_hu, batch._write

    def reading(path, *arguments):
        alive.append(Path(path).name)
        most.append(len(alive))
        return read_hu(path, *arguments)

    def writing(scan, *arguments):
        write(scan, *arguments)
        alive.remove(scan.path.name)

    monkeypatch.setattr(batch, "read_hu", reading)
    monkeypatch.setattr(batch, "_write", writing)
    (scans / "broken.nii.gz").unlink()
    for number in (3, 4):
        (scans / f"study_{number}.nii.gz").write_bytes((scans / "study_1.nii.gz").read_bytes())
    segment_scans(find_scans([scans]), ensemble, Wanted(), tmp_path / "out")
    assert max(most) <= 2 and len(most) == 4


def test_the_operating_point_is_the_mean_of_what_all_runs_have_chosen(tmp_path):
    runs = [tmp_path / "a", tmp_path / "b"]
    for run, threshold in zip(runs, (0.2, 0.4), strict=True):
        assert chosen_point(runs) == OperatingPoint()
        run.mkdir()
        (run / "operating_point.json").write_text(json.dumps({"threshold": threshold, "min_component_mm3": 10}))
    assert chosen_point(runs).threshold == pytest.approx(0.3)
    assert chosen_point(runs).min_component_mm3 == 10
    with pytest.raises(UserError, match=r"run\.json"):
        load_ensemble(runs, "cpu")


def test_scans_of_any_orientation_keep_their_grid(ensemble, tmp_path):
    ct, _ = synthesise("study_1", "CT-2", PHANTOM)
    turned = Volume(np.ascontiguousarray(ct.data.transpose(2, 0, 1)), ct.affine[:, [2, 0, 1, 3]])
    write_volume(tmp_path / "a.nii.gz", ct.data, ct.affine)
    write_volume(tmp_path / "b.nii.gz", turned.data, turned.affine)
    assert segment_scans(find_scans([tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]), ensemble, Wanted(), tmp_path) == []
    for name in ("lungs", "lesion"):
        one, other = (np.asarray(nib.load(tmp_path / scan / f"{name}.nii.gz").dataobj) for scan in "ab")
        assert one.any() and (one.transpose(2, 0, 1) == other).all()


def test_lesions_are_looked_for_around_lungs_unless_these_are_in_doubt(scans, ensemble, tmp_path, monkeypatch):
    found = find_lungs(read_ct(scans / "study_1.nii.gz"))
    assert where_to_look(found) is found.mask
    assert where_to_look(replace(found, failure="none")) is where_to_look(replace(found, warning="one")) is None
    looked = []
    monkeypatch.setattr(batch, "predict", lambda *arguments: looked.append(arguments[-1]) or predict(*arguments))
    segment_one(scans / "study_1.nii.gz", tmp_path / "mask.nii.gz", ensemble)
    segment_one(scans / "study_1.nii.gz", tmp_path / "mask.nii.gz", ensemble, whole=True)
    assert (looked[0] == found.mask).all() and looked[2] is None
