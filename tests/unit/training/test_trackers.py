"""Trackers are told each epoch once, decide no byte, and end no training. Those that are not installed are skipped."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from lesionbench.errors import UserError
from lesionbench.training import loop, trackers
from lesionbench.training.learner import FoldData
from lesionbench.training.loop import train
from lesionbench.training.runfile import HASH, HISTORY, RECORD, WEIGHTS
from tiny import MODEL, PREPROCESSING, RECIPE, by_study, write_stack

RUN = "models/small/fold-0/seed-0"
MEASURED = ("train_loss", "validation_loss", "validation_dice", "learning_rate", "seconds")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    stacks = [write_stack(folder, seed) for seed in range(4)]
    return FoldData(by_study(stacks[:3]), by_study(stacks[3:]), PREPROCESSING)


def run(data, results, *log, epochs=4):
    """Train four epochs and return the folder of the run; with fewer epochs, as one that was killed after them."""

    def stop(learner):
        if len(learner.history) == epochs:
            raise SystemExit(143)

    folder = results / RUN
    with pytest.MonkeyPatch.context() as patch:
        if epochs < RECIPE.max_epochs:
            patch.setattr(loop, "report", stop)
        try:
            train(MODEL, RECIPE, data, folder, code="abc", threads=1, log=log)
        except SystemExit:
            assert not (folder / RECORD).exists()
    return folder


def history_of(folder):
    with (folder / HISTORY).open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture
def told(monkeypatch):
    """What trackers that stand in for others are told: `good` takes all, the others fail at what they are named by."""
    told = []

    class Fake:
        def __init__(self, name):
            self.name = name

        def __call__(self, folder, inputs, history):
            self.tell("start", len(history))
            return self

        def write(self, history):
            self.tell("write", len(history))

        def end(self, how):
            self.tell("end", how)

        def tell(self, what, value):
            if self.name == what:
                raise ConnectionError("no answer\nfrom there")
            told.append((self.name, what, value))

    monkeypatch.setattr(trackers, "_KINDS", {name: Fake(name) for name in ("good", "start", "write", "end")})
    return told


def test_a_tracker_gets_the_history_after_each_epoch_and_changes_no_byte(data, tmp_path, told):
    plain, tracked = run(data, tmp_path / "plain"), run(data, tmp_path / "tracked", "good")
    assert [epochs for _, what, epochs in told if what == "write"] == [0, 1, 2, 3, 4]
    assert told[0] == ("good", "start", 0) and told[-1] == ("good", "end", "FINISHED")
    assert [path.name for path in sorted(plain.iterdir())] == [path.name for path in sorted(tracked.iterdir())]
    assert (plain / WEIGHTS).read_bytes() == (tracked / WEIGHTS).read_bytes()
    one, other = (json.loads((folder / RECORD).read_text()) for folder in (plain, tracked))
    assert one[HASH] == other[HASH] and one["training"] == other["training"]
    without = [[{**row, "seconds": 0} for row in history_of(folder)] for folder in (plain, tracked)]
    assert without[0] == without[1]


def test_a_training_that_goes_on_starts_with_what_it_has_whatever_the_trackers_were(data, tmp_path, told):
    run(data, tmp_path, "good", epochs=2)
    assert told[-1] == ("good", "end", "KILLED")
    told.clear()
    run(data, tmp_path, epochs=3)
    run(data, tmp_path, "good")
    assert told[:3] == [("good", "start", 3), ("good", "write", 3), ("good", "write", 4)]


@pytest.mark.parametrize("name", ["start", "write", "end"])
def test_a_tracker_that_fails_is_one_warning_and_the_training_goes_on(data, tmp_path, told, caplog, name):
    assert (run(data, tmp_path, name, "good") / WEIGHTS).is_file()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        f"training.log: {name} gets no more epochs of this training (ConnectionError: no answer from there)."
    ]
    assert told[-1] == ("good", "end", "FINISHED")


def test_a_training_that_fails_is_told_as_failed(data, tmp_path, told):
    with pytest.raises(UserError, match="not finite"):
        train(MODEL, replace(RECIPE, learning_rate=1e30), data, tmp_path / RUN, threads=1, log=["good"])
    assert told[-1] == ("good", "end", "FAILED")


def test_a_tracker_that_is_not_installed_is_told_with_what_to_run(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "mlflow" else name)
    trackers.check_trackers(["tensorboard"])
    with pytest.raises(UserError, match=r"(?s)training\.log: mlflow is not .*`pip install mlflow`.*\n  log: null"):
        trackers.check_trackers(["tensorboard", "mlflow"])


def scalars(events):
    """Return the epochs of each quantity that an accumulator has read, and their values."""
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_has_each_epoch_once_after_a_kill_also_one_that_watches(data, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs TensorBoard: pip install tensorboard"
    )
    place = tmp_path / "tensorboard" / RUN.removeprefix("models/")
    run(data, tmp_path, "tensorboard", epochs=2)
    watching = accumulator.EventAccumulator(str(place)).Reload()
    assert [epoch for epoch, _ in scalars(watching)["train_loss"]] == [1, 2]
    history = history_of(run(data, tmp_path, "tensorboard"))
    expected = {name: [(epoch, pytest.approx(row[name])) for epoch, row in enumerate(history, 1)] for name in MEASURED}
    assert scalars(watching.Reload()) == scalars(accumulator.EventAccumulator(str(place)).Reload()) == expected


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A client of an MLflow of its own, in a file."""
    mlflow = pytest.importorskip("mlflow", reason="needs MLflow: pip install mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return mlflow.MlflowClient()


def runs_in(client, results):
    experiment = client.get_experiment_by_name(f"lesionbench {results}")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])


def test_mlflow_has_each_epoch_once_after_a_kill_in_one_run(data, tmp_path, client):
    run(data, tmp_path, "mlflow", epochs=2)
    assert [found.info.status for found in runs_in(client, tmp_path)] == ["KILLED"]
    history = history_of(run(data, tmp_path, "mlflow"))
    (found,) = runs_in(client, tmp_path)
    assert (found.info.run_name, found.info.status) == ("small/fold-0/seed-0", "FINISHED")
    parameters = found.data.params
    assert (parameters["training.learning_rate"], parameters["model.architecture"]) == ("0.01", "classic-unet")
    assert (parameters["preprocessing.plane"], parameters["seed"]) == ("axial", "0")
    for name in MEASURED:
        sent = client.get_metric_history(found.info.run_id, name)
        assert [(metric.step, metric.value) for metric in sent] == [(row["epoch"], row[name]) for row in history]
    (tmp_path / RUN / RECORD).unlink()
    run(data, tmp_path, "mlflow", epochs=1)
    assert [found.info.status for found in runs_in(client, tmp_path)] == ["FINISHED", "KILLED"]


def test_a_server_of_mlflow_that_does_not_answer_is_one_warning(data, tmp_path, client, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert (run(data, tmp_path, "mlflow") / WEIGHTS).is_file()
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("lesionbench")]
    warnings = [text for text in warnings if text.startswith("training.log: mlflow gets no more epochs")]
    assert len(warnings) == 1 and "Connection refused" in warnings[0]


def test_without_trackers_nothing_of_theirs_is_imported():
    code = "import sys, lesionbench.training.loop; print(*{'tensorboard', 'mlflow'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
