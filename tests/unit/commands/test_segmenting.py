"""`lesionbench segment` writes masks of scans, and tells of mistakes in a sentence."""

import json
import shutil
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lesionbench.cli import main
from lesionbench.files import sha256
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.segmentation import batch, inference
from lesionbench.segmentation.lungs import Lungs
from lesionbench.training.record import write_run
from lesionbench.training.runfile import write_record
from oriented import make_affine
from sliced import write_series

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
    hu = np.where(np.arange(9 * 11 * 5).reshape(9, 11, 5) % 3, -850, 40).astype(np.int16)
    nib.save(nib.Nifti1Image(hu, affine), path)
    return path


def error_of(capsys, *arguments):
    assert main(["segment", *map(str, arguments), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("lesionbench: ") and error.count("\n") == 1
    return error


def test_a_scan_that_is_no_scan_is_called_what_it_is(run, tmp_path, capsys):
    folder, dicom, table = tmp_path / "series", tmp_path / "slice.dcm", tmp_path / "table.csv"
    folder.mkdir()
    dicom.write_bytes(bytes(128) + b"DICM")
    table.write_text("study\n")
    said = ["this is a folder without any DICOM image", "this is a DICOM file", "cannot be read as NIfTI"]
    for scan, what in zip([folder, dicom, table], said, strict=True):
        error = error_of(capsys, scan, tmp_path / "mask.nii.gz", "--run", run)
        assert f"{scan}: " in error and what in error


def test_a_folder_of_slices_is_segmented_by_the_series_that_is_chosen(run, tmp_path, capsys):
    hu = np.where(np.arange(9 * 11 * 5).reshape(9, 11, 5) % 3, -850, 40)
    write_series(tmp_path / "ct", hu, make_affine("LPS"))
    write_series(tmp_path / "ct" / "coronal", np.zeros((9, 11, 4)), make_affine("LIP"), SeriesDescription="Cor")
    assert "there are 2 CT series" in error_of(capsys, tmp_path / "ct", tmp_path / "mask.nii.gz", "--run", run)
    arguments = ["segment", str(tmp_path / "ct"), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]
    assert main([*arguments, "--series", "Lung*"]) == 0
    image = nib.load(tmp_path / "mask.nii.gz")
    assert image.shape == (9, 11, 5) and image.affine == pytest.approx(make_affine("LPS"))
    assert image.header["sform_code"] == image.header["qform_code"] == 1


def test_grey_values_need_their_window(run, tmp_path, capsys):
    nib.save(nib.Nifti1Image(np.full((9, 11, 5), 300, np.int16), np.eye(4)), tmp_path / "grey.nii.gz")
    for window, said in (("1500", "neither grey values (0 to 255)"), ("0", "--window: the width 0 is not above 0")):
        arguments = tmp_path / "grey.nii.gz", tmp_path / "mask.nii.gz", "--run", run, "--window", "-500", window
        assert said in error_of(capsys, *arguments)


def test_a_folder_that_is_no_run_is_called_what_it_is(run, scan, tmp_path, capsys):
    model = tmp_path / "models" / "unet"
    shutil.copytree(run, model / "fold-0" / "seed-0")
    (tmp_path / "empty").mkdir()
    for folder, what in {
        model.parent: f"holds 1 run and is none itself: {model}/fold-0/seed-0",
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


def test_what_is_asked_for_reaches_the_networks(run, scan, tmp_path, monkeypatch):
    asked, predict_stack = [], inference.predict_stack

    def spy(predictor, *arguments):
        asked.append((predictor.mirroring, predictor.computes_in, arguments[-1] is None))
        return predict_stack(predictor, *arguments)

    monkeypatch.setattr(inference, "predict_stack", spy)
    monkeypatch.setattr(batch, "find_lungs", lambda ct: Lungs(np.ones(ct.data.shape, np.uint8)))
    arguments = ["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]
    for options in ([], ["--mirror"], ["--precision", "bfloat16"], ["--whole"]):
        assert main([*arguments, *options]) == 0
    plain = (False, "float32", False)
    assert asked == [plain, (True, *plain[1:]), (False, "bfloat16", False), (*plain[:2], True)]


def test_a_device_that_is_not_there_is_named_as_it_was_given(run, scan, tmp_path, capsys):
    assert main(["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cuda:99"]) == 1
    assert capsys.readouterr().err.startswith("lesionbench: --device: there is no device 'cuda:99' here")


def test_a_users_mistake_gives_one_message_and_no_mask(run, scan, tmp_path, capsys):
    shutil.rmtree(run)
    for arguments, said in [
        ([str(scan), str(tmp_path / "mask.nii.gz")], "no such folder"),
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


def test_a_record_that_was_edited_is_refused(run, scan, tmp_path, capsys):
    record = json.loads((run / "run.json").read_text())
    record["preprocessing"]["hu_scale"] = 500
    (run / "run.json").write_text(json.dumps(record))
    assert main(["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]) == 1
    assert f"{run / 'run.json'}: it was edited or damaged" in capsys.readouterr().err
    assert not (tmp_path / "mask.nii.gz").exists()


@pytest.mark.parametrize(
    ("hashed", "said"), [(False, ["these are not the weights", "train again"]), (True, ["do not fit", "Train again"])]
)
def test_weights_of_another_training_are_told(hashed, said, run, scan, tmp_path, capsys):
    save_file({"head.weight": torch.zeros(1)}, run / "weights.safetensors")
    if hashed:
        record = json.loads((run / "run.json").read_text())
        write_record(record | {"weights_sha256": sha256(run / "weights.safetensors")}, run / "run.json")
    assert main(["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert all(text in error for text in said) and len(error) < 600


def test_many_scans_go_into_a_folder_and_a_failure_is_the_exit_status(run, scan, tmp_path, capsys):
    (tmp_path / "bad.nii").write_bytes(b"no image")
    runs = ["--run", str(run), "--run", str(run), "--device", "cpu"]
    assert main(["segment", str(scan), "--out", str(tmp_path / "out"), *runs]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 run. Threshold 0.5") and (tmp_path / "out/scan/lesion.nii.gz").is_file()
    assert main(["segment", str(scan), str(tmp_path / "bad.nii"), "--out", str(tmp_path / "out"), *runs]) == 1
    error = capsys.readouterr().err
    assert "lesionbench: 1 of 2 scans could not be segmented:" in error and "bad.nii: cannot be read" in error


def test_several_runs_are_averaged_into_one_mask(run, scan, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    weights = load_file(run / "weights.safetensors")
    weights["head.bias"] -= 1
    save_file(weights, other / "weights.safetensors")
    record = json.loads((run / "run.json").read_text())
    write_record(record | {"weights_sha256": sha256(other / "weights.safetensors")}, other / "run.json")
    volumes = []
    for runs in ([run], [other], [run, other]):
        given = [word for folder in runs for word in ("--run", str(folder))]
        assert main(["segment", str(scan), str(tmp_path / "mask.nii.gz"), *given, "--device", "cpu"]) == 0
        volumes.append(float(capsys.readouterr().out.split()[-2]))
    assert volumes[0] > volumes[2] == volumes[1] == 0  # the mean of 0.5 and less is below the threshold


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.nii"], "1 file without --out: give SCAN and MASK"),
        (["a.nii", "b.nii", "c.nii"], "3 files without --out"),
        (["a.nii", "m.nii.gz", "--preview"], "--preview needs --out FOLDER"),
        (["a.nii", "--out", "o"], "a.nii: no such file or folder"),
        (["m.nii", "n.nii", "--out", "o", "--lungs", "l.nii"], "--lungs is the mask of one scan, and there are 2"),
        (["m.nii", "--out", "m.nii"], "--out m.nii: this is a file"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_loaded(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "lesionbench.segmentation.batch", None)  # its import would fail
    (tmp_path / "run").mkdir()
    for name in ("m.nii", "n.nii"):
        (tmp_path / name).touch()
    assert said in error_of(capsys, *arguments, "--run", "run")


def test_an_interruption_is_told_in_a_line(run, scan, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(inference, "predict_stack", interrupt)
    arguments = ["segment", str(scan), "--out", str(tmp_path / "out"), "--run", str(run), "--device", "cpu"]
    assert main(arguments) == 130
    assert capsys.readouterr().err.startswith("lesionbench: interrupted. What is finished stays")
    assert not list(tmp_path.rglob("out/**/*"))


def test_a_folder_that_cannot_be_made_is_named_once(run, scan, tmp_path, capsys):
    out = scan / "out"
    assert main(["segment", str(scan), "--out", str(out), "--run", str(run), "--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith(f"lesionbench: {out} cannot be written")
