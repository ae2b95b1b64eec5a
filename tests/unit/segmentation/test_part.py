"""A part of many scans: their lungs, then the masks of a model; phantoms of known involvement are graded rightly."""

import numpy as np
import pandas as pd
import pytest
import torch

from lesionbench.data.nifti import write_volume
from lesionbench.data.phantom import lungs_of, synthesise
from lesionbench.data.reading import AS_IS
from lesionbench.data.studies import CATEGORIES, Phantom
from lesionbench.errors import UserError
from lesionbench.evaluation.severity import judge_severity
from lesionbench.models.networks import Network
from lesionbench.segmentation import batch
from lesionbench.segmentation.batch import Ensemble
from lesionbench.segmentation.found_lungs import find_part_lungs
from lesionbench.segmentation.inference import Predictor
from lesionbench.segmentation.inputs import Scan
from lesionbench.segmentation.part import segment_part
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.training.record import Record
from tiny import MODEL, PREPROCESSING, RECIPE

PHANTOM = Phantom(studies=10, annotated=3, size=64, slices=(16, 18), graded=True)
CLASSES = {f"study_{number}": CATEGORIES[number % 5] for number in range(10)}


class Bright(torch.nn.Module):
    """Stands for a network: what is brighter than a threshold between lung and ground glass."""

    def forward(self, image):
        return (image + 0.72) * 100


@pytest.fixture
def ensemble(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "weights.safetensors").write_text("weights")
    network = Network(Bright(), stride=1)
    predictor = Predictor(network, Record(MODEL, RECIPE, PREPROCESSING, {}), torch.device("cpu"))
    return Ensemble([run], [predictor], OperatingPoint())


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two phantoms of each class, their lungs found."""
    folder, scans, truth = tmp_path_factory.mktemp("scans"), [], {}
    for name, category in CLASSES.items():
        ct, truth[name] = synthesise(name, category, PHANTOM)
        write_volume(folder / f"{name}.nii.gz", ct.data, ct.affine)
        scans.append(Scan(name, folder / f"{name}.nii.gz"))
    return find_part_lungs(scans, AS_IS, "code", folder / "lungs"), folder / "lungs", truth


def test_a_table_names_scan_path_and_series(scans):
    table, lungs, _ = scans
    assert table["scan"].tolist() == list(CLASSES) and table["series"].tolist() == [""] * 10
    assert all((lungs / name / "report.json").is_file() for name in CLASSES)


def test_a_model_that_knows_the_lesions_grades_phantoms_as_they_were_drawn(scans, ensemble, tmp_path, monkeypatch):
    """Lungs, measure and statistics together: known shares come out, and with them the classes."""
    table, lungs, truth = scans

    def knows(predictor, stack, *_):
        found = np.asarray(truth[stack.study], np.float32)
        return batch.Volume(found, stack.affine)

    monkeypatch.setattr(batch, "predict", knows)
    found = segment_part(table, lungs, ensemble, AS_IS, "code", tmp_path / "out").set_index("scan")
    known = {name: truth[name].sum() / lungs_of(name, PHANTOM).sum() for name in CLASSES}
    assert found["share_involved"].to_dict() == pytest.approx(known, abs=0.04)
    shares = pd.DataFrame({"study": list(CLASSES), "category": list(CLASSES.values()), "model": "knows"})
    shares["share"] = shares["study"].map(found["share_involved"])
    scores = judge_severity(shares, {}, 50).scores.iloc[0]
    assert scores["auc_involved"] == scores["auc_above_ct1"] == scores["kappa"] == 1 and scores["spearman"] > 0.95


def test_lungs_are_those_found_before_and_are_not_written_again(scans, ensemble, tmp_path, monkeypatch):
    table, lungs, _ = scans
    monkeypatch.setattr(batch, "find_lungs", None)
    found = segment_part(table.iloc[:1], lungs, ensemble, AS_IS, "code", tmp_path / "out")
    assert found["lungs_ml"].iloc[0] > 1000
    assert {path.name for path in (tmp_path / "out/study_0").iterdir()} == {"lesion.nii.gz", "report.json"}


def test_what_is_finished_is_kept_unless_the_code_has_changed(scans, ensemble, tmp_path):
    table, lungs, _ = scans
    report = tmp_path / "out/study_0/report.json"

    def made(basis):
        segment_part(table.iloc[:1], lungs, ensemble, AS_IS, basis, tmp_path / "out")
        return report.stat().st_mtime_ns

    first = made("code")
    assert made("code") == first < made("other code")


def test_a_scan_that_fails_stops_the_part_after_the_others(scans, ensemble, tmp_path):
    table, lungs, _ = scans
    lost = pd.DataFrame({"scan": ["lost"], "path": [str(tmp_path / "lost.nii.gz")], "series": [""]})
    with pytest.raises(UserError, match=r"1 of 2 scans could not be segmented:\n.*lost\.nii\.gz"):
        segment_part(pd.concat([lost, table.iloc[:1]]), lungs, ensemble, AS_IS, "code", tmp_path / "out")
    assert (tmp_path / "out/study_0/report.json").is_file()
    with pytest.raises(UserError, match=r"1 of 1 scan could not be segmented:\n.*lost\.nii\.gz"):
        find_part_lungs([Scan("lost", tmp_path / "lost.nii.gz")], AS_IS, "code", tmp_path / "lungs")
