"""Scores of predicted masks, and the statistics of a large comparison."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd

from benchmarks.measure import Row, Setting, alternate, timed
from benchmarks.recipe import SETTINGS, write_moved, write_study
from lesionbench.evaluation.comparison import compare_models
from lesionbench.evaluation.metrics import evaluate
from lesionbench.evaluation.scoring import Scoring
from lesionbench.report.comparison_tables import make_tables

MODELS, SEEDS, STUDIES, SLICES = 20, 3, 50, 41


def evaluate_ten_studies(setting: Setting) -> Iterator[Row]:
    """The rule `evaluate` less its imports; the predictions are the references, moved."""
    studies = write_study(setting.folder, studies=10)
    predictions = setting.folder / "predictions"
    write_moved(studies, predictions)

    def score(count: int = len(studies)) -> None:
        references = {study.name: study.mask for study in studies[:count]}
        evaluate(references, predictions, "axial", Scoring(**SETTINGS["evaluation"]))

    score(1)  # warms up
    with one_core():
        seconds = alternate({"evaluate": timed(score)}, setting.repetitions)
    what = "evaluation of ten 512×512×41 studies on one core"
    yield Row("evaluate", what, "s", seconds["evaluate"], at_most=20, seconds=seconds)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core inside the block, where the system lets it choose."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compare_twenty_models(setting: Setting) -> Iterator[Row]:
    """The rule `compare` less its imports and files, from random scores."""
    scores = random_scores(MODELS, SEEDS)
    resamples = SETTINGS["evaluation"]["resamples"]

    def compare() -> None:
        make_tables(compare_models(*scores, (), resamples))

    seconds = alternate({"compare": timed(compare)}, 1)
    what = f"comparison of {MODELS} models with {SEEDS} seeds on {STUDIES} studies, {resamples:,} resamples"
    yield Row("compare", what, "s", seconds["compare"], at_most=5, seconds=seconds)


def random_scores(models: int, seeds: int) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Return scores by study and by slice, as `compare_models` takes them, and the models' labels."""
    random = np.random.default_rng(0)
    names = [f"model_{number:03d}" for number in range(models)]
    index = pd.MultiIndex.from_product([names, range(seeds), range(STUDIES)], names=["model", "seed", "study"])
    studies = index.to_frame(index=False).assign(fold=0, reference_ml=1.0)
    studies["dice"] = np.tile(random.normal(0.6, 0.1, STUDIES), models * seeds) + random.normal(0, 0.02, len(studies))
    slices = studies.loc[studies.index.repeat(SLICES)].assign(reference_voxels=900, predicted_voxels=1100)
    return studies, slices, {name: name for name in names}
