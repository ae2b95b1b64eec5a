"""How time and memory grow with studies, models, seeds and slices: `python -m benchmarks.growth --help`.

Prints the table of docs/performance.md and draws its plot. Each point is a process of its own, once.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from benchmarks.evaluation import random_scores
from benchmarks.measure import peak_memory
from benchmarks.recipe import FULL_SIZE, REPOSITORY, SETTINGS, cut, preprocessing, trained, write_moved, write_study
from benchmarks.workflow import NOTHING, finish_experiment, run_in

CROSS_VALIDATION = {"split": {"protocol": "cross-validation", "folds": 5}}
# What grows, to what, and what is measured there.
POINTS: dict[str, tuple[Sequence[int], Sequence[str]]] = {
    "studies": ((50, 1110, 10_000), ("dry run",)),
    "models": ((4, 20, 100), ("dry run", "comparison")),
    "seeds": ((1, 3, 10), ("dry run", "comparison")),
    "slices": ((41, 300, 1000), ("preprocess", "predict", "evaluate")),
}


def experiment(studies: int | None = None, models: int = 4, seeds: int = 1) -> tuple[int, dict[str, Any]]:
    """Return the number of studies and an overlay of config.yaml: a cross-validation unless studies grow."""
    names = [f"model_{number:03d}" for number in range(models)]
    rows = {name: {**SETTINGS["models"]["unet_resnet34"], "label": name} for name in names}
    overlay = {"models": rows, "compare": names, "seeds": list(range(seeds))}
    return (studies, overlay) if studies else (50, overlay | CROSS_VALIDATION)


# Snakemake as its command line runs it, and last a line with the most memory that it held.
SNAKEMAKE = """
import atexit, sys
from benchmarks.measure import peak_memory
from snakemake.cli import main
atexit.register(lambda: print(peak_memory()))
main(sys.argv[1:])
"""


def dry_run(folder: Path, **sizes: int) -> tuple[float, int]:
    """`snakemake --dry-run` of a finished experiment on empty files; its seconds and its peak memory in bytes."""
    checkout = folder / "checkout"
    finish_experiment(checkout, *experiment(**sizes))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    started = time.perf_counter()
    said = run_in(checkout, "-c", SNAKEMAKE, "--dry-run", "--configfile", "overlay.yaml", environment=environment)
    if NOTHING not in said:
        raise RuntimeError(said[-4000:])
    return time.perf_counter() - started, int(said.splitlines()[-1])


def comparison(folder: Path, models: int = 4, seeds: int = 1) -> tuple[float, int]:
    """The rule `compare` less its imports and files, from random scores of 50 studies."""
    from lesionbench.evaluation.comparison import compare_models
    from lesionbench.report.comparison_tables import make_tables

    studies, slices, labels = random_scores(models, seeds)
    started = time.perf_counter()
    make_tables(compare_models(studies, slices, labels, (), SETTINGS["evaluation"]["resamples"]))
    return time.perf_counter() - started, peak_memory()


def on_slices(step: str) -> Callable[..., tuple[float, int]]:
    """Return what measures a rule less its imports on one study of 512 × 512 voxels a slice."""

    def measure(folder: Path, slices: int) -> tuple[float, int]:
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # so that its memory is not counted here
            (study,) = apart.submit(write_study, folder, FULL_SIZE, slices).result()
        work = STEPS[step](folder, study)
        started = time.perf_counter()
        work()
        return time.perf_counter() - started, peak_memory()

    return measure


def _preprocess(folder: Path, study: Any) -> Callable[[], object]:
    from lesionbench.data.slices import save_stack

    return lambda: save_stack(cut(study, "axial"), folder / "slices.npz")


def _predict(folder: Path, study: Any) -> Callable[[], object]:
    """The paper's U-Net with a width of 4, so that the network does not hide the rest."""
    import torch

    from lesionbench.models.entry import ModelEntry
    from lesionbench.models.networks import build_network
    from lesionbench.segmentation.inference import Predictor, segment
    from lesionbench.training.device import place
    from lesionbench.training.record import Record

    entry = ModelEntry("classic-unet", options={"width": 4})
    network = build_network(entry)
    device = torch.device("cpu")
    place(network.module, device).eval()
    predictor = Predictor(network, Record(entry, trained("unet").recipe, preprocessing("axial"), {}), device)
    return lambda: segment(predictor, study.ct, folder / "mask.nii.gz")


def _evaluate(folder: Path, study: Any) -> Callable[[], object]:
    from lesionbench.evaluation.metrics import evaluate
    from lesionbench.evaluation.scoring import Scoring

    write_moved([study], folder)
    return lambda: evaluate({study.name: study.mask}, folder, "axial", Scoring(**SETTINGS["evaluation"]))


STEPS = {"preprocess": _preprocess, "predict": _predict, "evaluate": _evaluate}
MEASURES: Mapping[str, Callable[..., tuple[float, int]]] = {
    "dry run": dry_run,
    "comparison": comparison,
} | {step: on_slices(step) for step in STEPS}


def measure_all(grown: Sequence[str]) -> pd.DataFrame:
    """Return a row for each point: what grows, what is measured, the size, seconds and memory in GB."""
    rows = []
    for factor in grown:
        sizes, names = POINTS[factor]
        for name in names:
            for size in sizes:
                print(f"{name}, {size:,} {factor} …", file=sys.stderr, flush=True)
                command = [sys.executable, "-m", "benchmarks.growth", "--one", name, factor, str(size)]
                done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
                seconds, memory = json.loads(done.stdout.splitlines()[-1])
                rows.append((factor, name, size, seconds, memory / 1e9))
    return pd.DataFrame(rows, columns=["factor", "step", "size", "seconds", "memory_gb"])


def as_table(points: pd.DataFrame) -> str:
    """Return the points as Markdown, with the exponent of growth between the last two sizes: 1 is linear."""
    cells = []
    for (factor, step), group in points.groupby(["factor", "step"], sort=False):
        last = group.iloc[-2:]
        exponents = [
            np.diff(np.log(last[column])).item() / np.diff(np.log(last["size"])).item()
            for column in ("seconds", "memory_gb")
        ]
        for row in group.itertuples():
            cells.append((step, f"{row.size:,} {factor}", f"{row.seconds:.2f} s", f"{row.memory_gb:.2f} GB", "", ""))
        cells[-1] = (*cells[-1][:4], *(f"{exponent:.2f}" for exponent in exponents))
    header = ["what", "of", "time", "memory", "exponent of time", "of memory"]
    return tabulate(cells, header, tablefmt="github", disable_numparse=True)


def draw(points: pd.DataFrame, output: Path) -> None:
    """Draw seconds and memory against what grows, both axes logarithmic; a grey line shows what linear would be."""
    import matplotlib.pyplot as plt

    from lesionbench.report.style import save_figure

    factors = points["factor"].unique()
    figure, axes = plt.subplots(2, len(factors), figsize=(2.4 * len(factors), 4.6), squeeze=False, sharex="col")
    for column, factor in enumerate(factors):
        part = points[points["factor"] == factor]
        for row, (value, title) in enumerate((("seconds", "Time (s)"), ("memory_gb", "Memory (GB)"))):
            ax = axes[row, column]
            for step, group in part.groupby("step", sort=False):
                ax.plot(group["size"], group[value], marker="o", label=step)
            sizes = part["size"].unique()
            lowest = part.loc[part["size"] == sizes[0], value].min()
            ax.plot(sizes, lowest * sizes / sizes[0], color="0.7", linestyle=":", label="linear")
            ax.set(xscale="log", yscale="log", xticks=sizes, xticklabels=[f"{size:,}" for size in sizes])
            ax.minorticks_off()
            if not column:
                ax.set_ylabel(title)
        axes[0, column].legend(frameon=False)
        axes[1, column].set_xlabel(factor.capitalize())
    save_figure(figure, [output])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=POINTS, default=list(POINTS), help="what grows")
    parser.add_argument("--figure", type=Path, default=REPOSITORY / "docs" / "growth.png", help="where to draw it")
    parser.add_argument("--one", nargs=3, metavar=("STEP", "FACTOR", "SIZE"), help="measure a single point, as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        step, factor, size = arguments.one
        with TemporaryDirectory(prefix="lesionbench-") as folder:
            print(json.dumps(MEASURES[step](Path(folder), **{factor: int(size)})))
        return
    points = measure_all(arguments.only)
    print(as_table(points))
    draw(points, arguments.figure)


if __name__ == "__main__":
    main()
