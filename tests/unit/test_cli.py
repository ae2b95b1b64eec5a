import json
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lesionbench import __version__
from lesionbench.cli import main
from lesionbench.data.phantom import write_phantom
from lesionbench.data.phantom_layouts import write_layout
from lesionbench.data.studies import Phantom
from lesionbench.files import sha256
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.segmentation import inference
from lesionbench.segmentation.inference import probability_of
from lesionbench.training.record import write_run
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


def help_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_tells_what_each_command_does_with_an_example(capsys):
    said = help_of(capsys)
    assert (
        "segment the lesions of one CT, or of many, and print their volume" in " ".join(said.split())
        and "--version" in said
    )
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


def test_weights_of_another_training_are_told(run, scan, tmp_path, capsys):
    save_file({"head.weight": torch.zeros(1)}, run / "weights.safetensors")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"weights_sha256": sha256(run / "weights.safetensors")}))
    assert main(["segment", str(scan), str(tmp_path / "mask.nii.gz"), "--run", str(run), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert "these are not the weights" in error and "train again" in error and len(error) < 600


def test_phantoms_of_a_layout_are_written_and_recognised(tmp_path, capsys):
    folder = tmp_path / "new"
    assert main(["phantom", str(folder), "--layout", "patients", "--size", "16"]) == 0
    assert f"lesionbench init {folder}" in capsys.readouterr().out
    assert main(["init", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("# Layout: patients (A folder a patient")


def test_a_stack_is_taken_apart(tmp_path, capsys):
    assert main(["phantom", str(tmp_path / "stack"), "--layout", "medseg-slices", "--size", "16"]) == 0
    assert main(["init", str(tmp_path / "stack")]) == 1
    assert "lesionbench unstack" in capsys.readouterr().err
    files = [str(tmp_path / "stack" / f"tr_{kind}.nii.gz") for kind in ("im", "mask")]
    assert main(["unstack", *files, str(tmp_path / "slices")]) == 0
    assert "6 studies, one a slice" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["init", "none"], "none: there is no such folder"),
        (["phantom", "new", "--layout", "nnU"], "nnU: no such layout"),
        (["phantom", "new", "--layout", "msd", "--size", "8"], "--size 8"),
        (["phantom", "file/new", "--layout", "msd"], "file/new cannot be written"),
    ],
)
def test_a_mistake_with_data_is_one_message(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("lesionbench: ") and said in error


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
    del record["weights_sha256"]
    (other / "run.json").write_text(json.dumps(record))
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

    monkeypatch.setattr(inference, "probability_of", interrupt)
    arguments = ["segment", str(scan), "--out", str(tmp_path / "out"), "--run", str(run), "--device", "cpu"]
    assert main(arguments) == 130
    assert capsys.readouterr().err.startswith("lesionbench: interrupted. What is finished stays")
    assert not list(tmp_path.rglob("out/**/*"))


def test_a_folder_that_cannot_be_made_is_named_once(run, scan, tmp_path, capsys):
    out = scan / "out"
    assert main(["segment", str(scan), "--out", str(out), "--run", str(run), "--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith(f"lesionbench: {out} cannot be written")
