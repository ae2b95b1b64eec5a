"""How far trainings are, by what lies in their folders."""

import json

import pytest

from lesionbench.training.folder_lock import held_lock, note
from lesionbench.training.status import Status, read_status

ROWS = [{"epoch": 1, "validation_dice": 0.25, "seconds": 10.0}, {"epoch": 2, "validation_dice": 0.2, "seconds": 30.0}]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models" / "unet" / "fold-10" / "seed-3"
    folder.mkdir(parents=True)
    return folder


def write_history(folder, rows=ROWS):
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")


def test_a_training_at_work_says_its_epoch_and_the_time_that_is_left(folder, tmp_path):
    write_history(folder)
    with held_lock(folder / ".lock", "waiting for a device") as lock:
        assert [status.doing for status in read_status(tmp_path)] == ["waiting for a device"]
        note(lock, doing="training", max_epochs=5, patience_left=4)
        (status,) = read_status(tmp_path)
        assert status.where.endswith(f"process {json.loads((folder / '.lock').read_text())['process']}")
        assert status == Status("unet", 10, 3, "training", 2, 5, 0.2, 4, 60.0, status.where)


def test_a_finished_run_shows_its_best_dice(folder, tmp_path):
    write_history(folder)
    (folder / "run.json").write_text("{}")
    assert read_status(tmp_path) == [Status("unet", 10, 3, "finished", 2, validation_dice=0.25)]


@pytest.mark.parametrize("content", ["", "epoch\n1\n", "epoch,validation_dice,seconds\n1,none,2\n", "\0"])
def test_a_history_that_says_something_else_is_none(content, folder, tmp_path):
    (folder / "history.csv").write_text(content)
    (folder / "run.json").touch()
    assert read_status(tmp_path) == [Status("unet", 10, 3, "finished")]


def test_what_a_kill_left_is_stopped(folder, tmp_path):
    assert read_status(tmp_path) == []
    (folder / "training-state.pt").touch()
    assert read_status(tmp_path) == [Status("unet", 10, 3, "stopped")]
    with held_lock(folder / ".lock"):
        kept = json.loads((folder / ".lock").read_text())
    (folder / ".lock").write_text(json.dumps(kept | {"since": kept["since"] - 1000}))
    assert read_status(tmp_path) == [Status("unet", 10, 3, "stopped")]


def test_runs_come_in_the_order_of_their_numbers(folder, tmp_path):
    for name in ("fold-2/seed-0", "fold-10/seed-20", "fold-x/seed-0"):
        (folder.parents[1] / name).mkdir(parents=True)
        (folder.parents[1] / name / "run.json").touch()
    (folder / "run.json").touch()
    assert [(status.fold, status.seed) for status in read_status(tmp_path)] == [(2, 0), (10, 3), (10, 20)]
