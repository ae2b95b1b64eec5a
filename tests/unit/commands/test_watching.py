"""`lesionbench status`."""

import pytest

from lesionbench.cli import main
from lesionbench.commands import watching
from lesionbench.training.status import Status

RUNS = [
    Status("unet", 0, 0, "finished", 12, validation_dice=0.8125),
    Status("unet", 1, 0, "training", 2, 100, 0.5, 5, 7500, "node1, process 7"),
    Status("vgg", 0, 0, "waiting for a device", where="node1, process 8"),
]


@pytest.fixture
def results(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path


def test_runs_are_shown_in_a_table(results, monkeypatch, capsys):
    monkeypatch.setattr(watching, "read_status", lambda folder: RUNS)
    assert main(["status", str(results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0].strip() for line in lines[:4]] == ["model", "unet", "unet", "vgg"]
    assert "2 of 100  0.500" in lines[2] and lines[2].endswith("2 h 05 min    node1, process 7")
    assert lines[-1] == "3 runs begun: 1 finished, 1 training, 1 waiting for a device"


def test_watching_ends_when_nothing_is_at_work(results, monkeypatch, capsys):
    looks = iter([RUNS, RUNS[:1]])
    monkeypatch.setattr(watching, "read_status", lambda folder: next(looks))
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0)
    assert main(["status", str(results), "--watch"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("1 run begun: 1 finished")


def test_a_folder_without_runs_is_an_error(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 1
    assert "no folder models/ in it" in capsys.readouterr().err
