"""What a user sees after a mistake: one message, no traceback of ours, nothing written."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

from checkout import copy_checkout
from lesionbench.data.nifti import write_volume
from lesionbench.data.phantom import write_phantom
from lesionbench.data.scans import read_ct
from lesionbench.data.studies import Phantom


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    return copy_checkout(repository, tmp_path_factory.mktemp("errors"))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"training": {"learnig_rate": 0.1}},
            ["training.learnig_rate", "Did you mean learning_rate", "learning_rate: 0.0001"],
        ),
        ({"compare": []}, ["compare: the list is empty"]),
        ({"dataset": {"phantom": None, "root": "data/none"}}, ["data/none", "mosmed.ai", "make demo"]),
        (
            {"models": {"mobile": {"encoder": "mobilenet_v22"}}},
            ["models.mobile.encoder: mobilenet_v22 is unknown", "\n  encoder: mobilenet_v2\n"],
        ),
        ({"split": {"file": "none.csv"}}, ["split.file", "none.csv"]),
        ({"training": {"log": "wandb"}}, ["training.log: 'wandb'", "log: tensorboard"]),
        ({"dataset": {"phantom": {"studies": 3, "annotated": 9}}}, ["dataset.phantom", "annotated (9)"]),
    ],
)
def test_a_wrong_configuration_stops_before_anything_runs(checkout, config, said):
    output = checkout.snakemake(config=config, check=False)
    for text in said:
        assert text in output
    assert not (checkout.folder / "results").exists()


def test_without_data_the_plain_command_says_how_to_get_on(checkout):
    (checkout.folder / "data").mkdir()
    output = checkout.snakemake(config={"dataset": {"phantom": None, "root": "data"}}, check=False)
    assert "mosmed.ai" in output and "make demo" in output


def test_missing_weights_are_one_clear_sentence(checkout, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    output = checkout.snakemake("resources/weights/resnet18.safetensors", check=False)
    assert "Cannot fetch the ImageNet weights of encoder resnet18" in output
    assert "null to train from scratch" in output and "Traceback" not in output


def test_a_key_that_an_overlay_gives_twice_is_told_with_both_lines(checkout):
    (checkout.folder / "twice.yaml").write_text("seeds: [0]\ncompare: [unet]\nseeds: [1]\n")
    output = checkout.snakemake("--dry-run", "--configfile", "twice.yaml", check=False)
    assert "twice.yaml: the key seeds is given twice, in line 1 and line 3" in output


def test_a_folder_of_results_with_an_unset_variable_is_refused(checkout):
    output = checkout.snakemake(config={"pathvars": {"results": "$NOT_SET_ANYWHERE/results"}}, check=False)
    assert "pathvars.results: $NOT_SET_ANYWHERE/results: the environment variable NOT_SET_ANYWHERE is not set" in output


def test_a_tracker_that_is_not_installed_is_told_before_anything_runs(checkout):
    if find_spec("mlflow"):
        pytest.skip("MLflow is installed")
    run = "results/tracked/models/small/fold-0/seed-0/run.json"
    config = {"training": {"log": ["mlflow"]}, "pathvars": {"results": "results/tracked"}}
    output = checkout.snakemake(run, config=config, check=False)
    assert "training.log: mlflow is not installed. Run `pip install mlflow`" in output and "Traceback" not in output
    assert not (checkout.folder / "results" / "tracked").exists()


def test_a_tracker_that_fails_ends_no_training(checkout, monkeypatch):
    stub = checkout.folder / "stub" / "tensorboard"
    stub.mkdir(parents=True)
    (stub / "__init__.py").touch()  # found, and not to be used
    monkeypatch.setenv("PYTHONPATH", str(stub.parent), prepend=os.pathsep)
    folder = "models/small/fold-0/seed-0"
    config = {"training": {"log": "tensorboard"}, "pathvars": {"results": "results/tracked"}}
    output = checkout.snakemake(f"results/tracked/{folder}/run.json", config=config)
    assert output.count("WARNING training.log: tensorboard gets no more epochs of this training (") == 1
    made = sorted(path.name for path in (checkout.folder / "results" / "tracked" / folder).iterdir())
    assert made == ["history.csv", "run.json", "weights.safetensors"]


def test_errors_in_the_data_set_are_all_told_and_nothing_is_trained_on_them(checkout):
    root = checkout.folder / "scans"
    write_phantom(root, Phantom(studies=6, annotated=6, size=32, slices=(5, 6)))
    for study in ("study_0002", "study_0005"):
        path = root / "studies" / "CT-1" / f"{study}.nii.gz"
        ct = read_ct(path)
        write_volume(path, ct.data + np.int16(1024), ct.affine)
    config = {"dataset": {"phantom": None, "root": "scans"}, "pathvars": {"results": "results/spoilt"}}
    output = checkout.snakemake("--cores", "2", "--keep-going", config=config, check=False)
    assert "2 errors in the data set" in output and "Traceback" not in output
    assert all(
        f"{study}: studies/CT-1/{study}.nii.gz: its values reach" in output for study in ("study_0002", "study_0005")
    )
    cut = {path.stem for path in (checkout.folder / "results" / "spoilt" / "slices").glob("*/*.npz")}
    assert (
        cut and not {"study_0002", "study_0005"} & cut and not list(checkout.folder.glob("results/spoilt/models/*/*"))
    )


def test_a_network_that_cannot_take_the_slices_stops_alone_and_before_anything_is_trained(checkout):
    broken = {"architecture": "FPN", "encoder": "mobilenet_v2", "options": {"encoder_depth": 3}}
    checks = [f"results/tiny/checks/models/{model}.json" for model in ("broken", "small")]
    config = {"models": {"broken": broken}, "compare": ["broken", "small"]}
    output = checkout.snakemake(*checks, "--keep-going", config=config, check=False)
    assert "models.broken: FPN with encoder mobilenet_v2" in output and "Traceback" not in output
    assert "\n  options: {encoder_depth: 3, upsampling: 1}\n" in output
    assert [(checkout.folder / check).exists() for check in checks] == [False, True]
    assert not (checkout.folder / "results" / "tiny" / "models").exists()
