import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lesionbench import __version__
from lesionbench.cli import main
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.segmentation import inference
from lesionbench.segmentation.inference import probability_of
from lesionbench.training.record import write_run

MODEL = {"architecture": "classic-unet", "options": {"width": 4}}
RECORD = {
    "model": MODEL,
    "training": {"batch_size": 2, "precision": "float32"},
    "preprocessing": {"plane": "coronal", "hu_window": [-1000, 1000], "hu_scale": 1000},
}


@pytest.fixture
def run(tmp_path):
    """The folder of a training whose network calls every voxel a lesion."""
    network = build_network(ModelEntry(**MODEL)).module
    weights = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    write_run(tmp_path / "run", weights, [{"epoch": 1, "validation_loss": 1.0, "seconds": 0.0}], RECORD)
    return tmp_path / "run"


@pytest.fixture
def scan(tmp_path):
    affine = np.array([[0, -2.0, 0, 10], [3.0, 0, 0, -5], [0, 0, -4.0, 7], [0, 0, 0, 1]])
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(np.full((9, 11, 5), -800, np.int16), affine), path)
    return path


def help_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_tells_what_each_command_does_with_an_example(capsys):
    said = help_of(capsys)
    assert "segment the lesions of one CT and print their volume" in " ".join(said.split()) and "--version" in said
    example = "lesionbench segment scan.nii.gz mask.nii.gz --run results/models/unet/fold-0/seed-0"
    assert example in said and example in help_of(capsys, "segment")
    assert main([]) == 0 and capsys.readouterr().out == said


def test_the_module_is_the_command():
    def run(*arguments):
        command = [sys.executable, "-m", "lesionbench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    version, wrong = run("--version"), run("segmented")
    assert (version.returncode, version.stdout) == (0, f"lesionbench {__version__}\n")
    assert wrong.returncode == 2 and wrong.stderr.startswith("usage: lesionbench") and "segment" in wrong.stderr


def error_of(capsys, *arguments):
    assert main(["segment", *map(str, arguments), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("lesionbench: ") and error.count("\n") == 1
    return error


def test_a_scan_that_is_no_nifti_file_is_called_what_it_is(run, tmp_path, capsys):
    folder, dicom, table = tmp_path / "series", tmp_path / "slice.dcm", tmp_path / "table.csv"
    folder.mkdir()
    dicom.write_bytes(bytes(128) + b"DICM")
    table.write_text("study\n")
    for scan, what in [(folder, "this is a folder"), (dicom, "a DICOM file"), (table, "cannot be read as NIfTI")]:
        error = error_of(capsys, scan, tmp_path / "mask.nii.gz", "--run", run)
        assert f"{scan}: " in error and what in error and "NIfTI" in error


def test_a_folder_that_is_no_run_is_called_what_it_is(run, scan, tmp_path, capsys):
    model = tmp_path / "models" / "unet"
    shutil.copytree(run, model / "fold-0" / "seed-0")
    (tmp_path / "empty").mkdir()
    for folder, what in {
        model: f"holds 1 run and is none itself: {model}/fold-0/seed-0",
        model.parent: f"holds 1 run and is none itself: {model}/fold-0/seed-0",
        model / "fold-0": f"holds 1 run and is none itself: {model}/fold-0/seed-0",
        run / "weights.safetensors": "this is a file",
        tmp_path / "empty": "this folder has no run.json",
        tmp_path / "none": "no such folder",
    }.items():
        error = error_of(capsys, scan, tmp_path / "mask.nii.gz", "--run", folder)
        assert f"{folder}: " in error and what in error and "Give the folder of one finished training" in error


def test_a_mask_that_is_a_folder_is_called_so(run, scan, tmp_path, capsys):
    (tmp_path / "out.nii.gz").mkdir()
    assert "out.nii.gz: this is a folder" in error_of(capsys, scan, tmp_path / "out.nii.gz", "--run", run)


def test_the_mask_lies_on_the_scans_grid_and_its_volume_is_told(run, scan, tmp_path, capsys):
    mask = tmp_path / "mask.nii.gz"
    assert main(["segment", str(scan), str(mask), "--run", str(run), "--device", "cpu"]) == 0
    image = nib.load(mask)
    np.testing.assert_array_equal(image.affine, nib.load(scan).affine)
    assert image.shape == (9, 11, 5) and np.asarray(image.dataobj).all()
    assert f"{9 * 11 * 5 * 24 / 1000:.1f} ml" in capsys.readouterr().out


def test_a_higher_threshold_finds_nothing(run, scan, tmp_path, capsys):
    arguments = ["segment", str(scan), str(tmp_path / "mask.Nii"), "--run", str(run), "--device", "cpu"]
    assert main([*arguments, "--threshold", "0.6"]) == 0
    assert "lesion of 0.0 ml" in capsys.readouterr().out


def test_mirror_images_are_predicted_where_it_is_asked_for(run, scan, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        inference, "mirrored_probability", lambda *arguments: asked.append(1) or probability_of(*arguments)
    )
    arguments = ["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]
    assert main(arguments) == 0 and asked == []
    assert main([*arguments, "--mirror"]) == 0 and asked != []


def test_a_users_mistake_gives_one_message_and_no_mask(run, scan, tmp_path, capsys):
    shutil.rmtree(run)
    for arguments, said in [
        ([str(scan), str(tmp_path / "mask.nii.gz")], "run.json"),
        ([str(scan), str(tmp_path / "mask.png")], "mask.png"),
    ]:
        assert main(["segment", *arguments, "--run", str(run), "--device", "cpu"]) == 1
        error = capsys.readouterr().err
        assert error.startswith("lesionbench: ") and said in error and "Traceback" not in error
    assert not list(tmp_path.glob("mask*"))


def test_a_folder_that_cannot_be_written_to_is_named(run, scan, tmp_path, capsys):
    mask = tmp_path / "scan.nii.gz" / "mask.nii.gz"
    assert main(["segment", str(scan), str(mask), "--run", str(run), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"lesionbench: {mask} cannot be written") and "Traceback" not in error


@pytest.mark.parametrize("name", ["scan.nii.gz", "run/../scan.nii.gz"])
def test_the_mask_never_replaces_the_scan(name, run, scan, tmp_path, capsys):
    before = scan.read_bytes()
    assert main(["segment", str(scan), str(tmp_path / name), "--run", str(run), "--device", "cpu"]) == 1
    assert "this is the scan" in capsys.readouterr().err
    assert scan.read_bytes() == before


@pytest.mark.parametrize("threshold", ["half", "1.5", "nan"])
def test_a_threshold_that_is_no_probability_is_refused(threshold, capsys):
    with pytest.raises(SystemExit):
        main(["segment", "scan.nii.gz", "mask.nii.gz", "--run", "run", "--threshold", threshold])
    assert f"{threshold} is no number between 0 and 1" in capsys.readouterr().err


@pytest.mark.parametrize("record", ["{}", "[]", '"model"', "{"])
def test_a_file_that_is_no_record_of_a_training_is_named(record, run, scan, tmp_path, capsys):
    (run / "run.json").write_text(record)
    assert main(["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith(f"lesionbench: {run / 'run.json'}: cannot be read")


def test_weights_that_do_not_fit_the_record_are_told(run, scan, tmp_path, capsys):
    save_file({"head.weight": torch.zeros(1)}, run / "weights.safetensors")
    assert main(["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert "do not fit" in error and "Train again" in error and len(error) < 600
