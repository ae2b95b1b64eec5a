"""A capsule holds what a reviewer needs, and no scan and no reference mask."""

import hashlib
import shutil
import zipfile

import pytest

from capsuled import make_results
from lesionbench.capsule import export as module
from lesionbench.capsule.archive import MANIFEST
from lesionbench.capsule.export import export
from lesionbench.errors import UserError


def test_no_file_of_the_data_sets_goes_in(made):
    sources = {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for root in made.roots.values()
        for path in root.rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(made.capsule) as archive:
        packed = {hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert len(sources) > 10 and not sources & packed


def test_configuration_split_scores_masks_tables_code_and_pins_go_in(made):
    names = set(zipfile.ZipFile(made.capsule).namelist())
    wanted = {"ro-crate-metadata.json", MANIFEST, "workflow/Snakefile", "workflow/rules/report.smk", "envs/lock.txt"}
    wanted |= {f"results/{name}" for name in ("config.json", "splits/fold-2.csv", "dataset/studies.csv")}
    wanted |= {"results/external/other/tables/comparison.csv", "results/tables/external_sets.tex"}
    assert wanted <= names
    assert not any("__pycache__" in name or name.endswith(".pyc") for name in names)


def test_the_report_goes_in_if_it_was_made_and_is_wanted(made, tmp_path):
    results = shutil.copytree(made.results, tmp_path / "results")
    (results / "report.html").write_text("<p>Report</p>")
    assert export(results, tmp_path / "with.zip") == export(results, tmp_path / "without.zip", with_report=False) + 1
    assert "results/report.html" in zipfile.ZipFile(tmp_path / "with.zip").namelist()


def test_a_report_with_whole_scans_stays_out_and_a_warning_says_why(made, tmp_path, caplog):
    results = shutil.copytree(made.results, tmp_path / "results")
    (results / "report.html").write_text('var results = {"results/viewer/best.html": {}};')
    assert export(results, tmp_path / "with.zip") == export(results, tmp_path / "without.zip", with_report=False)
    (warning,) = caplog.messages
    assert "report.html: left out" in warning and "`figures.viewer: false`" in warning


def test_predictions_that_are_the_reference_masks_are_refused(tmp_path):
    made = make_results(tmp_path)
    mask = next((tmp_path / "data" / "masks").iterdir())
    shutil.copyfile(mask, tmp_path / "near-data" / mask.name.replace("_mask", ""))
    with pytest.raises(UserError, match=r"this is the reference mask of study_\d+, byte for byte"):
        export(made.results, tmp_path / "capsule.zip")
    assert not (tmp_path / "capsule.zip").exists()


def test_an_installation_without_the_workflow_makes_none(made, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IS_CHECKOUT", False)
    with pytest.raises(UserError, match="not in this installation of lesionbench"):
        export(made.results, tmp_path / "capsule.zip")
    assert not list(tmp_path.iterdir())
