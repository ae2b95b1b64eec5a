"""`lesionbench view` writes a page of what it is given, and tells of mistakes in a sentence."""

import nibabel as nib
import numpy as np
import pytest

from lesionbench.cli import main
from lesionbench.data.nifti import write_mask
from oriented import LAS
from viewed import rows


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A scan and a mask in the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    nib.save(nib.Nifti1Image(np.full((8, 9, 6), -800, np.int16), LAS), "scan 1.nii.gz")
    mask = np.zeros((8, 9, 6), np.uint8)
    mask[2:4, 3:6, 1:3] = 1
    write_mask("mine.nii.gz", mask, LAS)


def error_of(capsys, *arguments):
    assert main(["view", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("lesionbench: ") and error.count("\n") == 1
    return error


def test_a_page_is_called_as_its_scan_or_as_is_said(tmp_path, capsys):
    assert main(["view", "scan 1.nii.gz", "mine.nii.gz", "Other=mine.nii.gz", "--reference", "mine.nii.gz"]) == 0
    assert "scan_1.html: 1.1 MB. Open it in a browser." in capsys.readouterr().out
    names = [(name, dice) for name, dice, _ in rows((tmp_path / "scan_1.html").read_text())]
    assert names == [("Reference", ""), ("mine", "1.00"), ("Other", "1.00")]
    assert main(["view", "scan 1.nii.gz", "--out", "pages/only.html"]) == 0 and (tmp_path / "pages/only.html").is_file()


def test_what_is_not_there_is_named(tmp_path, capsys):
    assert "no.nii.gz: no such file or folder" in error_of(capsys, "no.nii.gz", "mine.nii.gz")
    assert "results/config.json is missing" in error_of(capsys, "study_0001")
    assert "no.nii.gz: no such file" in error_of(capsys, "scan 1.nii.gz", "no.nii.gz")
    assert not list(tmp_path.glob("*.html"))


def test_results_need_the_name_of_a_study(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "config.json").write_text("{}")
    assert "Name one test study after them: lesionbench view results study_0255" in error_of(capsys, "results")
    assert "cannot be read as the configuration" in error_of(capsys, "results", "study_0001")
    assert "cannot be read as the configuration" in error_of(capsys, "study_0001")


def test_a_folder_is_no_page(tmp_path, capsys):
    (tmp_path / "pages").mkdir()
    assert "--out pages: this is a folder" in error_of(capsys, "scan 1.nii.gz", "--out", "pages")
