"""The workflow as a whole: how long Snakemake takes to see that nothing changed, and how long the demo runs."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.finish import __file__ as FINISH
from benchmarks.finish import make_file
from benchmarks.measure import Row, Setting, alternate, timed
from benchmarks.recipe import REPOSITORY, SETTINGS
from lesionbench.evaluation.comparison import read_comparison

CHECKOUT = ("config.yaml", "workflow", "profiles", "presets", "envs")
NOTHING = "Nothing to be done"


def dry_run(setting: Setting) -> Iterator[Row]:
    """`snakemake --dry-run` when nothing changed, on empty files in place of data and results.

    Every study is annotated, so every study is cut into slices and takes part in every training.
    """
    small, large, huge = (setting.folder / name for name in ("small", "large", "huge"))
    names = [f"model_{number:02d}" for number in range(20)]
    models = {name: {**SETTINGS["models"]["unet_resnet34"], "label": name} for name in names}
    cross_validation = {"split": {"protocol": "cross-validation", "folds": 5}, "seeds": [0, 1, 2]}
    scenes = [
        (small, 50, {}, "50 studies, 4 models", 3, setting.repetitions),
        (
            large,
            1110,
            {"models": models, "compare": sorted(models)} | cross_validation,
            "1,110 studies, 20 models × 5 folds × 3 seeds",
            15,
            max(1, setting.repetitions - 2),
        ),
        (huge, 10_000, {}, "10,000 studies, 4 models", 60, 1),
    ]
    for folder, studies, overlay, size, bar, repetitions in scenes:
        finish_experiment(folder, studies, overlay)
        seconds = alternate({"dry-run": timed(see_that_nothing_changed, folder)}, repetitions)
        what = f"dry run when nothing changed: {size}"
        yield Row(f"dry-run/{folder.name}", what, "s", seconds["dry-run"], at_most=bar, seconds=seconds)


def finish_experiment(folder: Path, studies: int, overlay: Mapping[str, Any]) -> None:
    """Make a checkout in which an experiment on empty files is complete."""
    copy_checkout(folder)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(dict(overlay)))
    root = folder / SETTINGS["dataset"]["root"]
    for number in range(studies):
        make_file(root / "studies" / "CT-1" / f"study_{number:04d}.nii.gz")
        make_file(root / "masks" / f"study_{number:04d}_mask.nii.gz")
    run_in(folder, FINISH, "--cores", "1", "--configfile", "overlay.yaml")


def see_that_nothing_changed(folder: Path) -> None:
    said = run_in(folder, "-m", "snakemake", "--dry-run", "--configfile", "overlay.yaml")
    if NOTHING not in said:
        raise RuntimeError(f"Snakemake would run jobs in {folder}:\n{said[-4000:]}")


def demo(setting: Setting) -> Iterator[Row]:
    """`make demo` after set-up, in a fresh checkout, and whether its models learn; once, because it takes minutes."""
    folder = setting.folder / "checkout"
    copy_checkout(folder)
    seconds = alternate({"demo": timed(run_demo, folder)}, 1)
    yield Row("demo", "make demo after set-up", "s", seconds["demo"], at_most=240, seconds=seconds)
    comparison = read_comparison(folder / "results" / "demo" / "comparison.json")
    worst = float(comparison.models["mean_dice"].min())
    yield Row("demo", "mean Dice of the demo's worst model", "", [worst], at_least=0.6)


def run_demo(folder: Path) -> None:
    """Run what `make demo` runs."""
    run_in(folder, "-m", "snakemake", "--cores", "all", "--configfile", "presets/demo.yaml")
    run_in(folder, "-m", "snakemake", "--report", "results/demo/report.html", "--configfile", "presets/demo.yaml")


def copy_checkout(folder: Path) -> None:
    """Copy what the workflow consists of to a new folder."""
    folder.mkdir()
    for name in CHECKOUT:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)


def run_in(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run this Python with `arguments` in a folder; return what it printed, or raise with it."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout[-4000:]}")
    return done.stdout
