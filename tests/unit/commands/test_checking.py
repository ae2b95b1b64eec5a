"""`lesionbench check` lists all that is wrong with a data set, and its exit status tells of errors."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from lesionbench.cli import main
from lesionbench.data.phantom import write_phantom
from lesionbench.data.phantom_layouts import write_layout
from lesionbench.data.studies import Phantom


@pytest.fixture
def data(tmp_path):
    """The folder of a small sound data set."""
    write_phantom(tmp_path / "data", Phantom(studies=3, annotated=2, size=32, slices=(5, 6)))
    return tmp_path / "data"


def test_a_sound_data_set_is_checked_in_a_line(data, capsys):
    assert main(["check", str(data), "--threads", "2"]) == 0
    assert capsys.readouterr().out == f"{data}: 3 studies, 2 with a mask: 0 errors, 0 warnings.\n"


def test_all_that_is_wrong_is_listed_and_the_status_tells_of_errors(data, capsys):
    mask = data / "masks/study_0001_mask.nii.gz"
    image = nib.load(mask)
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), mask)
    assert main(["check", str(data)]) == 0
    assert "1 warning\n" in capsys.readouterr().out
    (data / "studies/CT-1/study_0002.nii.gz").write_bytes(b"no image")
    assert main(["check", str(data)]) == 1
    said = capsys.readouterr()
    assert said.out.index("1 error\n") < said.out.index("study_0002") < said.out.index("study_0001")
    assert "no lesion" in said.out and "1 error, 1 warning." in said.out and "Traceback" not in said.err


def test_findings_as_json_are_the_same_ones(data, capsys):
    (data / "studies/CT-1/study_0002.nii.gz").write_bytes(b"no image")
    assert main(["check", str(data), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    (finding,) = told.pop("findings")
    assert told == {
        "version": 1,
        "root": str(data),
        "studies": 3,
        "annotated": 2,
        "errors": 1,
        "warnings": 0,
        "external": {},
    }
    assert list(finding) == ["severity", "kind", "study", "file", "what", "remedy"]
    assert (finding["kind"], finding["file"]) == ("file", "studies/CT-1/study_0002.nii.gz")


def test_a_configuration_says_where_the_data_set_is_and_how_it_is_read(data, tmp_path, capsys):
    mask = data / "masks/study_0001_mask.nii.gz"
    image = nib.load(mask)
    nib.save(nib.Nifti1Image(2 * np.asarray(image.dataobj), image.affine), mask)
    config = tmp_path / "config.yaml"
    config.write_text(f"dataset: {{root: {data}, lesion_labels: [1, 2]}}\ncompare: [nothing]\n")
    assert main(["check", str(data)]) == 1 and main(["check", str(config)]) == 0
    assert capsys.readouterr().out.endswith("0 errors, 0 warnings.\n")


@pytest.mark.parametrize("arguments", [["nowhere"], ["notes.txt"], [".", "--threads", "0"]])
def test_what_cannot_be_checked_at_all_is_a_wrong_call(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("just words")
    try:
        status = main(["check", *arguments])
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2 and capsys.readouterr().err


def test_a_folder_without_studies_is_an_error_with_what_to_do(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 1
    assert "there is no CT that can be read" in capsys.readouterr().err
    assert main(["check", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["kind"] == "layout"


def test_a_folder_in_any_known_layout_is_checked(tmp_path, capsys):
    write_layout("nnunet", tmp_path / "data", Phantom(studies=3, annotated=2, size=32, slices=(5, 6)))
    assert main(["check", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path}/data: 6 studies, 5 with a mask: 0 errors, 0 warnings.\n")


def test_a_folder_in_no_known_layout_is_told_the_lines_that_init_prints(data, tmp_path, capsys):
    (data / "studies/CT-1").rename(tmp_path / "scans")
    assert main(["check", str(tmp_path / "scans")]) == 1
    said = capsys.readouterr().err
    assert main(["init", str(tmp_path / "scans")]) == 0
    assert "its layout is none that is known" in said and said.endswith(capsys.readouterr().out)


def test_what_is_wrong_with_mosmeds_layout_is_told_though_no_layout_fits(data, capsys):
    shutil.copy(data / "masks/study_0001_mask.nii.gz", data / "masks/study_0001_mask.NII.GZ")
    assert main(["check", str(data)]) == 1
    assert "two files for one study" in capsys.readouterr().err


@pytest.fixture
def with_external(data, tmp_path):
    """A configuration with an external set whose second study has a CT of the data set."""
    write_phantom(tmp_path / "other", Phantom(studies=2, annotated=2, size=32, slices=(5, 6), seed=1))
    shutil.copy(data / "studies/CT-1/study_0001.nii.gz", tmp_path / "other/studies/CT-1/study_0002.nii.gz")
    shutil.copy(data / "masks/study_0001_mask.nii.gz", tmp_path / "other/masks/study_0002_mask.nii.gz")
    config = tmp_path / "config.yaml"
    sets = f"{{far: {{root: {tmp_path}/other, same_names: true}}, none: {{root: {tmp_path}/none}}}}"
    config.write_text(f"dataset: {{root: {data}}}\nexternal: {sets}\n")
    return config


def test_external_sets_are_checked_too_each_under_its_name(data, tmp_path, with_external, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")  # no cell is broken into lines
    assert main(["check", str(with_external)]) == 1
    said = capsys.readouterr()
    heading, rest = said.out.split("\nExternal set far\n")
    assert heading == f"{data}: 3 studies, 2 with a mask: 0 errors, 0 warnings.\n"
    assert "study_0002" in rest and "the same file as that of study_0001 in the data set" in rest
    assert rest.endswith(f"external.far: {tmp_path}/other: 2 studies, 2 with a mask: 1 error, 0 warnings.\n")
    assert "external.none: No data set" in said.err


def test_external_sets_have_their_findings_in_the_json(tmp_path, with_external, capsys):
    assert main(["check", str(with_external), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["errors"] == 0 and list(told["external"]) == ["far", "none"]
    assert [finding["kind"] for finding in told["external"]["far"]["findings"]] == ["known-scan"]
    assert told["external"]["none"]["findings"][0]["kind"] == "layout"


def test_a_registry_that_cannot_be_read_hides_nothing_else(data, capsys):
    (data / "dataset_registry.csv").write_text("study_id,class\n1,CT-1\n")
    (data / "studies/CT-1/study_0002.nii.gz").write_bytes(b"no image")
    assert main(["check", str(data)]) == 1
    assert "2 errors, 0 warnings" in capsys.readouterr().out
