"""The workflow on a real SLURM of two nodes, a GPU each, through its profile: to the end, and through disturbances."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import psutil
import pytest
import yaml

from checkout import TINY, copy_checkout, merged
from cluster import ask, cluster, missing, queue

RUN = "fold-0/seed-0"
THREADS = ["--set-threads", "train=1", "predict=1", "inventory=1"]  # more change a training's last digits
PROFILE = ["--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10"]
LONG = {"training": {"batch_size": 1, "max_epochs": 100, "patience": 100}, "compare": ["small"]}
FOUR = {
    "models": {f"unet_{name}": {"encoder_weights": None} for name in ("vgg19", "resnet34", "mobilenet_v2")},
    "compare": ["unet", "unet_vgg19", "unet_resnet34", "unet_mobilenet_v2"],
}


@pytest.fixture(scope="module", autouse=True)
def slurm():
    """The cluster on which all tests of this file run."""
    if reason := missing():
        pytest.skip(reason)
    with TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder, cluster(Path(folder) / "cluster"):
        yield


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    """A checkout with the slices and an undisturbed training, made without SLURM."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("slurm"))
    checkout.snakemake(weights("undisturbed"), *THREADS, config=named("undisturbed"))
    return checkout


def named(name, config=LONG):
    return merged(config, {"pathvars": {"results": f"results/{name}", "logs": f"logs/{name}"}})


def weights(name, model="small"):
    return f"results/{name}/models/{model}/{RUN}/weights.safetensors"


def training_log(checkout, name, model="small", run=RUN):
    log = checkout.folder / "logs" / name / "train" / model / f"{run}.log"
    return log.read_text() if log.exists() else ""


def prepare(checkout, name, config=LONG):
    """Make the slices of an experiment of its own, without SLURM."""
    folder = f"results/{name}/slices/axial_-1000_1000/fold-0"
    slices = [f"{folder}/{subset}.csv" for subset in ("train", "validation", "test")]
    checkout.snakemake(*slices, f"results/{name}/splits/fold-0.csv", config=named(name, config))


@contextmanager
def running(checkout, name, *arguments: str, config=LONG) -> Iterator[tuple[subprocess.Popen, Path]]:
    """Run Snakemake through the profile inside the block; yields its process and the file of what it prints."""
    overlay, output = checkout.folder / f"{name}.yaml", checkout.folder / f"{name}.out"
    overlay.write_text(yaml.safe_dump(merged(TINY, named(name, config)), sort_keys=False))
    command = [sys.executable, "-m", "snakemake", *arguments, *PROFILE, *THREADS, "--configfile", overlay.name]
    environment = os.environ | {"SLURM_CONF": "/etc/slurm/slurm.conf"}
    with (
        output.open("w") as file,
        subprocess.Popen(
            command, cwd=checkout.folder, stdout=file, stderr=subprocess.STDOUT, env=environment
        ) as process,
    ):
        try:
            yield process, output
        finally:
            process.kill()
            subprocess.run(["scancel", "--user=root"], check=False)


def wait_for(happened: Callable[[], object], what: str, process: subprocess.Popen, seconds: float = 180):
    """Return what `happened` returns once that is true, which it has to be before `process` ends."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert process.poll() is None, f"Snakemake ended before {what}"
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{queue()}"
        time.sleep(0.2)
    return found


def finish(process, output, code=0):
    """Wait for Snakemake to end, and return what it printed."""
    process.wait(timeout=300)
    text = output.read_text()
    assert process.returncode == code, text[-6000:]
    return text


def job_of(rule, state="RUNNING"):
    return next((job.number for job in queue() if job.what.startswith(f"rule_{rule}") and job.state == state), None)


def pause(checkout, name, process, runs=(RUN,)) -> list[str]:
    """Suspend all trainings after the third epoch of one, until SLURM wakes them to end; return which had begun."""

    def begun():
        return [run for run in runs if "epoch 3/100" in training_log(checkout, name, run=run)]

    wait_for(begun, "the third epoch", process)
    for one in psutil.process_iter(["cmdline", "cwd"]):
        is_training = any(part.endswith(".train.py") for part in one.info["cmdline"] or [])
        if is_training and one.info["cwd"] == str(checkout.folder):
            one.suspend()
    return begun()


def assert_undisturbed(checkout, name, resumed=True):
    """Check that a training ended as one that was left alone, and whether it went on from an epoch of its own."""
    ours, undisturbed = ((checkout.folder / weights(run)).parent for run in (name, "undisturbed"))
    assert (ours / "weights.safetensors").read_bytes() == (undisturbed / "weights.safetensors").read_bytes()
    histories = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (ours, undisturbed)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert ("Resuming after epoch" in training_log(checkout, name)) == resumed
    assert not list(ours.glob("*state*")) and not list(ours.glob(".*"))


def test_the_four_models_give_the_same_bytes_as_without_slurm(checkout):
    checkout.snakemake("results/alone/tables/comparison.csv", *THREADS, config=named("alone", FOUR))
    prepare(checkout, "together", FOUR)
    seen = set()
    with running(checkout, "together", "results/together/tables/comparison.csv", config=FOUR) as (process, output):
        while process.poll() is None:
            trainings = [job.state for job in queue() if job.what.startswith("rule_train")]
            seen.add((trainings.count("RUNNING"), trainings.count("PENDING") > 0))
            time.sleep(0.5)
        finish(process, output)
    # Two GPUs, so two trainings, while the others wait.
    assert (2, True) in seen and max(count for count, _ in seen) == 2
    alone, together = (checkout.folder / "results" / name for name in ("alone", "together"))
    for model in FOUR["compare"]:
        files = [(folder / "models" / model / RUN / "weights.safetensors").read_bytes() for folder in (alone, together)]
        assert files[0] == files[1], model
    for table in ("comparison", "pairwise", "per_study", "metrics", "volumes", "lesions", "subgroups", "readings"):
        assert (alone / f"tables/{table}.csv").read_bytes() == (together / f"tables/{table}.csv").read_bytes(), table


def test_a_preempted_training_is_requeued_and_goes_on(checkout):
    prepare(checkout, "preempted")
    with running(checkout, "preempted", weights("preempted")) as (process, output):
        pause(checkout, "preempted", process)
        number = job_of("train")
        ask("sbatch", "-p", "urgent", "-N", "2", "--gpus-per-node=1", "-o", "/dev/null", "--wrap", "sleep 1")
        wait_for(lambda: job_of("train", "PENDING") == number, "the requeued training", process)
        # SLURM would wait for two minutes before it starts a requeued job.
        ask("scontrol", "update", f"JobId={number}", "StartTime=now")
        finish(process, output)
    assert_undisturbed(checkout, "preempted")


def test_a_training_at_its_time_limit_is_retried_and_goes_on(checkout):
    prepare(checkout, "late")
    with running(checkout, "late", weights("late"), "--set-resources", "train:runtime=1") as (process, output):
        pause(checkout, "late", process)
        text = finish(process, output)
    assert "SLURM status is: 'TIMEOUT'" in text
    assert_undisturbed(checkout, "late")


def test_a_cancelled_training_is_retried_and_goes_on(checkout):
    prepare(checkout, "cancelled")
    with running(checkout, "cancelled", weights("cancelled")) as (process, output):
        pause(checkout, "cancelled", process)
        ask("scancel", job_of("train"))
        wait_for(lambda: "Stopped by SIGTERM" in training_log(checkout, "cancelled"), "the end at a step", process, 20)
        text = finish(process, output)
    assert "SLURM status is: 'CANCELLED'" in text
    assert_undisturbed(checkout, "cancelled")


def test_snakemake_killed_and_restarted_trains_nothing_twice(checkout):
    three = merged(LONG, {"seeds": [0, 1, 2]})
    prepare(checkout, "killed", three)
    runs = [f"fold-0/seed-{seed}" for seed in (0, 1, 2)]
    targets = [weights("killed").replace(RUN, run) for run in runs]
    with running(checkout, "killed", *targets, config=three) as (process, _):
        begun = pause(checkout, "killed", process, runs)
        assert job_of("train", "PENDING"), "two GPUs, three trainings"
        process.kill()
        process.wait()
        left = {job.number for job in queue()}
        assert len(left) == 3
        checkout.snakemake("--unlock", config=named("killed", three))
        with running(checkout, "killed", *targets, config=three) as (again, output):
            text = finish(again, output)
    assert f"left these jobs in SLURM's queue: {', '.join(sorted(left))}. They are cancelled" in text
    for run in begun:
        assert "Resuming after epoch" in training_log(checkout, "killed", run=run)
    assert_undisturbed(checkout, "killed", resumed=RUN in begun)


def test_too_little_memory_is_retried_with_more(checkout):
    target = "results/memory/splits/fold-0.csv"
    # The job needs more than the first attempt gives, and less than the second.
    limits = ["--set-resources", "split:mem_mb=attempt*attempt*100", "--retries", "1"]
    with running(checkout, "memory", target, *limits) as (process, output):
        text = finish(process, output)
    assert "failed, SLURM status is: " in text
    assert (checkout.folder / target).exists()


def test_a_job_that_fails_for_good_is_reported_and_the_rest_is_kept(checkout):
    (checkout.folder / "broken.safetensors").write_bytes(b"no weights")
    broken = merged(LONG, {"training": {"max_epochs": 1}, "compare": ["small", "mobile"]})
    broken = merged(broken, {"models": {"mobile": {"encoder_weights": "broken.safetensors"}}})
    prepare(checkout, "broken", broken)
    memory = set()
    arguments = [weights("broken"), weights("broken", "mobile"), "--retries", "1"]
    with running(checkout, "broken", *arguments, config=broken) as (process, output):
        while process.poll() is None:
            jobs = ask("squeue", "--noheader", "--format=%k %m").splitlines()
            memory.update(row.split()[1] for row in jobs if "train_wildcards_mobile" in row)
            time.sleep(0.5)
        text = finish(process, output, code=1)
    assert "broken.safetensors" in text and f"logs/broken/train/mobile/{RUN}.log" in text
    assert "Traceback" not in training_log(checkout, "broken", "mobile")
    assert (checkout.folder / weights("broken")).exists()
    assert not (checkout.folder / weights("broken", "mobile")).exists()
    assert memory == {"16000M", "32000M"}
