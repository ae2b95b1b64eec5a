"""A thousand trainings through SLURM: `python -m benchmarks.thousand`, as root, with Debian's SLURM installed.

Trainings only sleep a second, so what is measured is Snakemake, its executor and SLURM itself: how fast jobs are
submitted, how long the queue gets, and what Snakemake needs in that time.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.recipe import REPOSITORY, SETTINGS
from benchmarks.submit import __file__ as SUBMIT
from benchmarks.workflow import finish_experiment

sys.path.insert(0, str(REPOSITORY / "tests" / "slurm"))

from cluster import cluster, missing, queue

MODELS, FOLDS, SEEDS, STUDIES = 20, 5, 10, 50
AT_ONCE = (1000, 100)
NO_GPU = ("--set-resources", "train:gpu=0")  # else only as many trainings run at once as the cluster has GPUs: two


def submit_all(folder: Path, at_once: int) -> dict[str, float]:
    """Run all trainings with `at_once` jobs in the queue at once; return what was measured."""
    command = [sys.executable, SUBMIT, "--profile", "profiles/slurm", "--jobs", str(at_once), "--until", "train"]
    command += [*NO_GPU, "--configfile", "overlay.yaml"]
    started, depth, memory, submitted = time.monotonic(), 0, 0, [0.0, 0.0]
    log = folder / f"{at_once}.out"
    with log.open("w") as file, subprocess.Popen(command, cwd=folder, stdout=file, stderr=file) as running:
        process = psutil.Process(running.pid)
        cpu, count = 0.0, 0
        while running.poll() is None:
            depth = max(depth, len(queue()))
            times = process.cpu_times()
            cpu, memory = times.user + times.system, max(memory, process.memory_info().rss)
            now = log.read_text().count("submitted with SLURM")
            if now > count:
                submitted = [submitted[0] or time.monotonic(), time.monotonic()]
                count = now
            time.sleep(1)
    if running.returncode:
        raise RuntimeError(log.read_text()[-4000:])
    return {
        "jobs at once": at_once,
        "seconds": time.monotonic() - started,
        "until the first is submitted": submitted[0] - started,
        "submitted a second": count / (submitted[1] - submitted[0]),
        "longest queue": depth,
        "CPU seconds of Snakemake": cpu,
        "memory of Snakemake (MB)": memory / 1e6,
    }


def main() -> None:
    """Measure each of AT_ONCE on one cluster, and print a line for each result."""
    if reason := missing():
        sys.exit(reason)
    names = [f"model_{number:02d}" for number in range(MODELS)]
    models = {name: {**SETTINGS["models"]["unet_resnet34"], "label": name} for name in names}
    overlay = {"models": models, "compare": sorted(models), "seeds": list(range(SEEDS))}
    overlay["split"] = {"protocol": "cross-validation", "folds": FOLDS}
    with TemporaryDirectory(prefix="queue-", dir="/tmp") as name, cluster(Path(name) / "slurm"):
        folder = Path(name) / "checkout"
        finish_experiment(folder, STUDIES, overlay)
        for at_once in AT_ONCE:
            for path in (folder / "results").iterdir():
                if path.is_dir() and path.name not in ("slices", "splits"):
                    shutil.rmtree(path)
            for what, value in submit_all(folder, at_once).items():
                print(f"{what}: {value:,.1f}", flush=True)


if __name__ == "__main__":
    main()
