"""A shared model works elsewhere, and nothing in its folder says on whom or where it was made."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from lesionbench import environment
from lesionbench.cli import main
from lesionbench.data.nifti import write_volume
from lesionbench.errors import UserError
from lesionbench.files import sha256
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.models.own import describe_code
from lesionbench.report.model_card import About
from lesionbench.report.sharing import export_model
from lesionbench.segmentation.inference import load_run
from lesionbench.training.record import read_record, write_run
from lesionbench.training.runfile import write_record
from tiny import AFFINE, MODEL, PREPROCESSING, RECIPE

ABOUT = About("cc-by-4.0", "Small")
ROWS = [{"epoch": 1, "validation_dice": 0.5, "seconds": 1.0}]
SECRETS = ("jane", "secret-host", "GPU-7f3a", "patient_0001", "secret-kernel")


def made(**more):
    return {
        "model": asdict(MODEL) | {"encoder_weights": "/home/jane/encoder.safetensors"},
        "training": asdict(RECIPE), "preprocessing": asdict(PREPROCESSING), "intensity": "hu", "fold": 0, "seed": 0,
        "inputs_sha256": {"train": {"patient_0001": "a" * 64}, "validation": {"patient_0002": "b" * 64}},
        "studies": {"train": ["patient_0001"], "validation": ["patient_0002"]}, "epochs": 4, "best_epoch": 2,
        "parameters": 1234, "device": {"type": "cuda", "name": "A GPU", "uuid": "GPU-7f3a"}, "folder": "/home/jane",
    } | more  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a run in results, with scores of its test studies and of an external set."""
    monkeypatch.setattr(environment.platform, "node", lambda: "secret-host")
    monkeypatch.setattr(environment.platform, "platform", lambda: "Linux-6-secret-kernel")
    results = tmp_path / "jane" / "results"
    run = results / "models/small/fold-0/seed-0"
    write_run(run, build_network(MODEL).module.state_dict(), ROWS, made())
    point = {"threshold": 0.4, "min_component_mm3": 20, "studies": ["patient_0002"]}
    (run / "operating_point.json").write_text(json.dumps(point))
    for folder, dice in ((results, (0.5, 0.7)), (results / "external/elsewhere", (0.1, 0.2))):
        (folder / "metrics/small/fold-0/seed-0").mkdir(parents=True)
        lines = ["study,dice,hd95_mm", *(f"patient_000{number},{score}," for number, score in enumerate(dice))]
        (folder / "metrics/small/fold-0/seed-0/studies.csv").write_text("\n".join([*lines, ""]))
    return run


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".safetensors"}


def test_nothing_of_the_machine_and_no_study_is_shared(run, tmp_path):
    assert all(secret in json.dumps(made()) + (run / "run.json").read_text() for secret in SECRETS)
    export_model(run, tmp_path / "shared", ABOUT)
    found = texts(tmp_path / "shared")
    assert set(found) == {"README.md", "run.json", "operating_point.json"}
    assert [(name, secret) for name, text in found.items() for secret in SECRETS if secret in text] == []
    assert not any(str(tmp_path) in text for text in found.values())
    record = json.loads(found["run.json"])
    assert record["studies"] == {"train": 1, "validation": 1} and "A GPU" in found["run.json"]
    assert record["model"]["encoder_weights"] == "encoder.safetensors"


def test_a_shared_model_segments_elsewhere_as_the_run_does(run, tmp_path, capsys):
    export_model(run, tmp_path / "shared", ABOUT)
    shutil.move(tmp_path / "shared", tmp_path / "elsewhere")
    volume = np.random.default_rng(0).choice(np.array([-850, 40], np.int16), (32, 32, 6))
    write_volume(tmp_path / "scan.nii.gz", volume, AFFINE)
    masks = {}
    for folder in (run, tmp_path / "elsewhere"):
        mask = tmp_path / "mask.nii.gz"
        assert main(["segment", str(tmp_path / "scan.nii.gz"), str(mask), "--run", str(folder), "--device", "cpu"]) == 0
        masks[folder] = mask.read_bytes()
    assert len(set(masks.values())) == 1
    assert capsys.readouterr().out.count("Threshold 0.4, components of 20 mm³ or more") == 2


def test_the_card_has_the_scores_of_the_run_and_of_external_sets(run, tmp_path):
    export_model(run, tmp_path / "shared", ABOUT)
    card = (tmp_path / "shared/README.md").read_text()
    assert "| Test studies, fold 0 | 0.600 (2) | – (0) |" in card and "| elsewhere | 0.150 (2) | – (0) |" in card
    assert "from a probability of 0.4 on, in components of 20.0 mm³" in card
    assert sha256(run / "weights.safetensors") in card


def test_a_run_that_lies_alone_has_no_scores_and_an_older_record_gets_its_hash(run, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(run, alone)
    (alone / "operating_point.json").unlink()
    record = json.loads((alone / "run.json").read_text())
    older = {key: record[key] for key in record if key not in ("weights_sha256", "recipe_sha256")}
    (alone / "run.json").write_text(json.dumps(older))
    export_model(alone, tmp_path / "shared", ABOUT)
    assert "There are none" in (tmp_path / "shared/README.md").read_text()
    shared = read_record(tmp_path / "shared/run.json").contents
    assert shared["weights_sha256"] == sha256(alone / "weights.safetensors")


def test_the_code_of_an_own_network_goes_along_as_it_was_trained(run, tmp_path, capsys):
    (tmp_path / "jane/nets").mkdir()
    net, parts = tmp_path / "jane/nets/net.py", tmp_path / "jane/nets/parts.py"
    parts.write_text("from torch import nn\n\ndef layer():\n    return nn.Conv2d(1, 1, 3, padding=1)\n")
    net.write_text(
        "from parts import layer\nfrom torch import nn\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = layer()\n\n"
        "    def forward(self, image):\n        return self.layer(image)\n"
    )
    entry = ModelEntry(f"{net}:Net")
    code = describe_code(entry)
    write_run(run, build_network(entry).module.state_dict(), ROWS, made(model=asdict(entry), model_code=code))
    export_model(run, tmp_path / "shared", ABOUT)
    shutil.move(tmp_path / "jane/nets", tmp_path / "moved")
    volume = np.random.default_rng(0).choice(np.array([-850, 40], np.int16), (32, 32, 6))
    write_volume(tmp_path / "scan.nii.gz", volume, AFFINE)
    command = ["segment", str(tmp_path / "scan.nii.gz"), str(tmp_path / "m.nii.gz"), "--run", str(tmp_path / "shared")]
    assert main(command) == 1 and "--code" in capsys.readouterr().err
    assert main([*command, "--code", str(tmp_path / "shared/code/net.py")]) == 0
    assert "jane" not in (tmp_path / "shared/run.json").read_text()
    assert "--code FOLDER/code/net.py" in (tmp_path / "shared/README.md").read_text()
    shutil.move(tmp_path / "moved", tmp_path / "jane/nets")
    parts.write_text("changed = True\n")
    with pytest.raises(UserError, match=r"parts\.py, which the network is made of, is not there, or not as it was"):
        export_model(run, tmp_path / "again", ABOUT)
    assert not (tmp_path / "again").exists() and not list(tmp_path.glob(".*-again"))


def test_what_is_there_is_not_overwritten(run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    with pytest.raises(UserError, match="full: there is something already"):
        export_model(run, tmp_path / "full", ABOUT)
    (tmp_path / "empty").mkdir()
    export_model(run, tmp_path / "empty", ABOUT)
    assert load_run(tmp_path / "empty", "cpu").record.model.architecture == MODEL.architecture


def test_a_license_is_asked_for_and_named_as_the_hub_does(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export-model", str(run), str(tmp_path / "shared")])
    assert "--license" in capsys.readouterr().err
    assert main(["export-model", str(run), str(tmp_path / "shared"), "--license", "CC BY"]) == 1
    assert "small letters, as apache-2.0" in capsys.readouterr().err
    assert main(["export-model", str(run), str(tmp_path / "shared"), "--license", "mit", "--dataset", "a/b"]) == 0
    assert "shared: small, with its card" in capsys.readouterr().out


def test_weights_of_another_training_are_not_shared(run, tmp_path):
    record = json.loads((run / "run.json").read_text())
    write_record(record | {"weights_sha256": "0" * 64}, run / "run.json")
    with pytest.raises(UserError, match="not the weights"):
        export_model(run, tmp_path / "shared", ABOUT)
