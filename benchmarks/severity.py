"""How often the intervals of severity cover, and its tests err, on made-up shares: `python -m benchmarks.severity`.

Prints the table of docs/severity.md, in minutes. Equal repetitions give equal numbers.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from tabulate import tabulate

from lesionbench.data.studies import CATEGORIES
from lesionbench.evaluation.severity import MEASURES, judge_severity, measure_agreement

SIZES = (30, 100, 1000)
MODELS = ("one", "two", "three", "four")
RESAMPLES = 500
STUDIES = (254, 634, 125, 45, 2)  # of each class, without a mask, in MosMedData
MEDIANS = np.array([0.008, 0.05, 0.25, 0.45, 0.7])  # of the share that a model marks in a class: our assumption
DIFFICULTY, OWN = 0.7, 0.3  # SD of the logarithm of the share: of a study, and of a model in a study


def draw_shares(rng: np.random.Generator, studies: int, models: Sequence[str]) -> pd.DataFrame:
    """Return shares of equally good models, as `judge_severity` takes them."""
    classes = rng.choice(len(CATEGORIES), studies, p=np.array(STUDIES) / sum(STUDIES))
    difficulty = rng.normal(0, DIFFICULTY, studies)
    names, categories = [f"study_{number}" for number in range(studies)], np.array(CATEGORIES)[classes]
    frames = []
    for model in models:
        share = np.minimum(MEDIANS[classes] * np.exp(difficulty + rng.normal(0, OWN, studies)), 1)
        frames.append(pd.DataFrame({"model": model, "study": names, "category": categories, "share": share}))
    return pd.concat(frames, ignore_index=True)


def true_values(studies: int = 500_000) -> np.ndarray:
    """Return the MEASURES of a model in very many studies."""
    shares = draw_shares(np.random.default_rng(1), studies, ["one"])
    classes = shares["category"].map(CATEGORIES.index).to_numpy(int)
    values: np.ndarray = measure_agreement(shares["share"].to_numpy(), classes, np.ones((1, len(shares))))[0]
    return values


def simulate(studies: int, repetitions: int, truth: np.ndarray) -> list[float]:
    """Return in percent how often the interval of each of MEASURES covers, and how often any two models differ."""
    rng = np.random.default_rng(0)
    covered, wrong = [], 0
    for _ in range(repetitions):
        severity = judge_severity(draw_shares(rng, studies, MODELS), {}, RESAMPLES)
        row = severity.scores.iloc[0]
        covered.append(
            [row[f"{name}_low"] <= true <= row[f"{name}_high"] for name, true in zip(MEASURES, truth, strict=True)]
        )
        wrong += bool((severity.pairs["p_holm"] < 0.05).any())
    return [*(100 * np.mean(covered, axis=0)), 100 * wrong / repetitions]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=400, help="experiments of each size")
    repetitions, truth = parser.parse_args().repetitions, true_values()
    rows = [[size, *simulate(size, repetitions, truth)] for size in SIZES]
    print(tabulate(rows, ["studies", *MEASURES, "called different"], "pipe", floatfmt=".1f"))
    print("true values:", dict(zip(MEASURES, truth.round(3), strict=True)))


if __name__ == "__main__":
    main()
