"""A training that is killed, restarted through Snakemake, and compared with one that was not."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from checkout import TINY, copy_checkout, merged

RECIPE = {"compare": ["small"], "training": {"max_epochs": 5, "batch_size": 1}}


def config(name):
    return merged(RECIPE, {"pathvars": {"results": f"results/{name}", "logs": f"logs/{name}"}})


def run_folder(checkout, name):
    return checkout.folder / "results" / name / "models" / "small" / "fold-0" / "seed-0"


def weights(name):
    return f"results/{name}/models/small/fold-0/seed-0/weights.safetensors"


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    """A checkout in which an undisturbed training has finished."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("kill"))
    checkout.snakemake(weights("undisturbed"), config=config("undisturbed"))
    return checkout


def lines_of(log: Path) -> str:
    return log.read_text() if log.exists() else ""


@contextmanager
def training_at(checkout, name, due):
    """Start the training through Snakemake; yield Snakemake and the process that trains once `due(folder, log)`."""
    overlay = checkout.folder / f"{name}.yaml"
    overlay.write_text(yaml.safe_dump(merged(TINY, config(name))))
    command = [sys.executable, "-m", "snakemake", "--configfile", overlay.name, "--cores", "1", weights(name)]
    log = checkout.folder / "logs" / name / "train" / "small" / "fold-0" / "seed-0.log"
    log.unlink(missing_ok=True)
    with subprocess.Popen(command, cwd=checkout.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 300
        while not due(run_folder(checkout, name), lines_of(log)):
            assert process.poll() is None and time.monotonic() < deadline, "the training was over before it was killed"
            time.sleep(0.001)
        children = psutil.Process(process.pid).children(recursive=True)
        training = [child for child in children if any(".train.py" in part for part in child.cmdline())]
        # The innermost: Snakemake starts a script through a shell, whose command line names the script as well.
        yield process, training[-1]


def kill_when(checkout, name, due, number):
    """Send `number` to the process that trains once `due(folder, log)`, await Snakemake, return what it printed."""
    with training_at(checkout, name, due) as (snakemake, training):
        training.send_signal(number)
        output = snakemake.communicate(timeout=120)[0].decode()
    assert snakemake.returncode != 0
    return output


POINTS = {
    "before the first epoch is over": lambda folder, log: folder.exists() and "Resuming" not in log and log != "",
    "after the second epoch": lambda folder, log: "epoch 2/5" in log,
    "while the state is written": lambda folder, log: "epoch 3/5" in log and any(folder.glob(".*-training-state.pt")),
}


def assert_same(checkout, name):
    killed, undisturbed = run_folder(checkout, name), run_folder(checkout, "undisturbed")
    assert (killed / "weights.safetensors").read_bytes() == (undisturbed / "weights.safetensors").read_bytes()
    histories = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (killed, undisturbed)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert not list(killed.glob("*state*")) and not list(killed.glob(".*"))


def test_a_training_that_outlives_its_snakemake_is_ended_and_gone_on_from(checkout):
    with training_at(checkout, "orphan", POINTS["after the second epoch"]) as (snakemake, training):
        training.suspend()  # it would be over before the next Snakemake has started
        snakemake.kill()
        snakemake.wait()
        checkout.snakemake("--unlock", config=config("orphan"))
        asked = partial(lambda number, folder, log: f"Ending process {number}" in log, training.pid)
        with training_at(checkout, "orphan", asked) as (again, _):
            training.resume()
            output = again.communicate(timeout=120)[0].decode()
        assert again.returncode == 0 and "Resuming after epoch" in output, output
        assert not training.is_running() or training.status() == psutil.STATUS_ZOMBIE
    assert_same(checkout, "orphan")


def test_a_second_checkout_is_told_who_trains_in_the_folder(checkout, repository, tmp_path):
    other = copy_checkout(repository, tmp_path / "other")
    (other.folder / "results").symlink_to(checkout.folder / "results")
    with training_at(checkout, "shared", POINTS["after the second epoch"]) as (snakemake, training):
        training.suspend()
        output = other.snakemake(weights("shared"), config=config("shared"), check=False)
        assert f"process {training.pid} on" in output and "Let it finish or end it" in output
        assert "Traceback" not in output
        training.resume()
        said = snakemake.communicate(timeout=120)[0].decode()
    assert snakemake.returncode == 0, said
    assert_same(checkout, "shared")


def test_sigkill_at_three_points_changes_no_byte(checkout):
    for due in POINTS.values():
        kill_when(checkout, "killed", due, signal.SIGKILL)
    output = checkout.snakemake(weights("killed"), config=config("killed"))
    log = lines_of(checkout.folder / "logs" / "killed" / "train" / "small" / "fold-0" / "seed-0.log")
    assert "Resuming after epoch" in log, output
    assert_same(checkout, "killed")


def test_sigterm_stops_at_a_step_and_keeps_the_state(checkout):
    output = kill_when(checkout, "stopped", POINTS["after the second epoch"], signal.SIGTERM)
    assert "Stopped by SIGTERM" in output
    assert (run_folder(checkout, "stopped") / "training-state.pt").exists()
    checkout.snakemake(weights("stopped"), config=config("stopped"))
    assert_same(checkout, "stopped")


def test_a_damaged_state_is_set_aside(checkout):
    kill_when(checkout, "damaged", POINTS["after the second epoch"], signal.SIGKILL)
    state = run_folder(checkout, "damaged") / "training-state.pt"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    checkout.snakemake(weights("damaged"), config=config("damaged"))
    log = lines_of(checkout.folder / "logs" / "damaged" / "train" / "small" / "fold-0" / "seed-0.log")
    assert "set aside" in log
    folder = run_folder(checkout, "damaged")
    assert len(list(folder.glob("training-state.broken-*.pt"))) == 1
    assert (folder / "weights.safetensors").read_bytes() == (
        run_folder(checkout, "undisturbed") / "weights.safetensors"
    ).read_bytes()


def test_another_recipe_starts_anew_and_says_what_differs(checkout):
    kill_when(checkout, "changed", POINTS["after the second epoch"], signal.SIGKILL)
    other = merged(config("changed"), {"training": {"learning_rate": 0.01, "max_epochs": 1}})
    checkout.snakemake(weights("changed"), config=other)
    log = lines_of(checkout.folder / "logs" / "changed" / "train" / "small" / "fold-0" / "seed-0.log")
    assert "training.learning_rate" in log and "starts over" in log and "epoch 1/1" in log
