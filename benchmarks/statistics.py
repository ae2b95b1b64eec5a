"""How often intervals cover and tests err, on made-up scores: `python -m benchmarks.statistics`, a few minutes.

Prints the tables of docs/statistics.md; with --write it puts them there. Equal repetitions give equal numbers.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import special, stats
from tabulate import tabulate

from lesionbench.evaluation.selection import corrected_for_choice
from lesionbench.evaluation.simulation import MEAN_DICE, dice_at
from lesionbench.evaluation.statistics import (
    Estimate,
    Folds,
    Pairs,
    decide,
    dice_interval,
    judge_pairs,
    over_folds,
    over_patients,
    over_trainings,
    training_spread,
)
from lesionbench.files import atomic

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
REPETITIONS = 2000
CHUNK = 100  # experiments that are judged at once
# Of the normal score of a study: what all models share of its difficulty, by patient and by scan, what is a model's
# own with a patient, and what is one training's own with a scan. On the scale of Dice, two models differ in a study
# with an SD of 0.06, and two trainings of one model in a study with an SD of 0.04.
DIFFICULTY, SCAN, OWN, NOISE = 0.80, 0.15, 0.03, 0.02


class Table(NamedTuple):
    """A table of percentages, or of widths, as text."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]


class Errors(NamedTuple):
    """In how many percent of experiments any two models are called different, by what is asked.

    rank: by Wilcoxon's test alone, corrected by Holm; networks: of these trained networks; recipe: with all evidence.
    """

    rank: float
    networks: float
    recipe: float


def draw_scores(
    rng: np.random.Generator,
    experiments: int,
    models: int,
    patients: int,
    trainings: int = 1,
    deviation: float = 0.0,
    scans: int = 1,
) -> np.ndarray:
    """Return Dice (models, trainings, experiments, patients, scans) of models that are equal on average.

    deviation: the SD of a training's mean Dice.
    """

    def normal(variance: float, *shape: int) -> np.ndarray:
        return np.sqrt(variance) * rng.normal(size=shape)

    whole = normal(DIFFICULTY, 1, 1, experiments, patients, 1) + normal(SCAN, 1, 1, experiments, patients, scans)
    whole = whole + normal(OWN, models, 1, experiments, patients, 1)
    whole = whole + normal(NOISE, models, trainings, experiments, patients, scans)
    return dice_at(special.ndtr(whole)) + normal(deviation**2, models, trainings, experiments, 1, 1)


def fail_rarely(rng: np.random.Generator, scores: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Let every other model fail in a share of the studies and score higher in the others: all means stay equal."""
    failed = scores.copy()
    odd = failed[1::2]
    fails = rng.random(odd.shape) < share
    lift = share * (MEAN_DICE - 0.05) / (1 - share)
    odd[:] = np.where(fails, 0.1 * rng.random(odd.shape), odd + lift)
    return failed


def error_rates(draw: Callable[[int], np.ndarray], repetitions: int) -> Errors:
    """Return how often experiments call any two models different; `draw` takes a number of experiments."""
    found = np.zeros(3)
    for start in range(0, repetitions, CHUNK):
        count = min(CHUNK, repetitions - start)
        pairs = judged(draw(count))
        nothing = np.full_like(pairs.p_rank, np.nan)
        by_rank = decide(pairs._replace(p_mean=nothing, p_recipe=nothing))[2]
        _, networks, different = decide(pairs)
        found += [claims.any(axis=0).sum() for claims in (by_rank, networks, different)]
    return Errors(*(100 * found / repetitions))


def judged(scores: np.ndarray) -> Pairs:
    """Return the tests of scores (models, trainings, experiments, patients, scans), by patient."""
    return judge_pairs(list(scores.mean(axis=-1)))


def coverage_of_means(repetitions: int = REPETITIONS) -> Table:
    """How often the 95 % interval of a mean Dice covers it, and how wide it is."""
    rng = np.random.default_rng(1)
    rows = []
    for patients in (2, 3, 6, 10, 20, 50):
        values = dice_at(rng.random((10 * repetitions, patients)))
        estimate = over_patients(values)
        logit = dice_interval([estimate])
        rows.append(
            [
                patients,
                covered(bca(values[: repetitions // 2]), MEAN_DICE) if patients > 2 else "–",
                covered(plain_t(estimate), MEAN_DICE),
                covered(logit, MEAN_DICE),
                f"{(logit[1] - logit[0]).mean():.2f}",
            ]
        )
    return Table(["patients", "BCa bootstrap", "t", "logit-t", "width of logit-t"], rows)


def choice_of_the_best(repetitions: int = REPETITIONS) -> Table:
    """How far the best of equal rows is above the truth, before and after the correction for its choice."""
    rng = np.random.default_rng(9)
    rows = []
    for patients in (10, 20, 50):
        for count in (2, 5, 20):
            scores = draw_scores(rng, repetitions, count, patients)[:, 0, :, :, 0].transpose(1, 0, 2)
            best = scores.mean(axis=-1).max(axis=-1) - MEAN_DICE
            corrected = np.array([corrected_for_choice(one, 500) for one in scores]).T
            errors = [f"{error.mean().round(3) + 0:.3f}" for error in (best, corrected[0] - MEAN_DICE)]
            rows.append([count, patients, *errors, covered(corrected[1:], MEAN_DICE)])
    return Table(["rows", "patients", "error of the best", "error corrected", "interval covers"], rows)


def bca(values: np.ndarray) -> np.ndarray:
    """Return the BCa intervals of many samples, with 1,000 resamples each."""
    parts = [
        stats.bootstrap((part,), np.mean, axis=-1, n_resamples=1000, rng=np.random.default_rng(2)).confidence_interval
        for part in np.array_split(values, max(1, len(values) // 50))
    ]
    return np.concatenate([np.stack([part.low, part.high]) for part in parts], axis=1)


def plain_t(estimate: Estimate) -> np.ndarray:
    return np.stack([estimate.mean - estimate.reach, estimate.mean + estimate.reach])


def covered(interval: np.ndarray, truth: float) -> str:
    return f"{100 * np.mean((interval[0] <= truth) & (truth <= interval[1])):.1f}"


def coverage_of_recipes(repetitions: int = REPETITIONS) -> Table:
    """How often intervals of four models' means cover the mean of networks that are trained again."""
    rng = np.random.default_rng(3)
    rows = []
    for trainings in (2, 3, 5):
        for deviation in (0.01, 0.03):
            scores = draw_scores(rng, 5 * repetitions, 4, 50, trainings, deviation)[..., 0]
            spreads = [training_spread(model) for model in scores]
            values = scores[0].mean(axis=0)
            networks = dice_interval([over_patients(values)])
            recipe = dice_interval(over_trainings(values, spreads[:1], spreads))
            rows.append([trainings, deviation, covered(networks, MEAN_DICE), covered(recipe, MEAN_DICE)])
    return Table(["trainings", "their SD", "these networks", "trained again"], rows)


def errors_of_equal_models(repetitions: int = REPETITIONS) -> Table:
    """How often models that differ in nothing but chance are called different, without luck in training."""
    rows = []
    for models in (2, 4, 20):
        for patients in (6, 10, 20, 50):
            rates = error_rates(drawing(4, models=models, patients=patients), fewer(repetitions, models))
            rows.append([models, patients, *as_text(rates.rank, rates.networks)])
    return Table(["models", "patients", "Wilcoxon", "called different"], rows)


def errors_by_training(repetitions: int = REPETITIONS) -> Table:
    """How often equal recipes are called different, by the number of trainings and how much these vary."""
    rows = []
    for deviation in (0.01, 0.03):
        for trainings in (1, 2, 3, 5):
            for models in (2, 4, 20):
                count = fewer(repetitions, models)
                draws = {
                    patients: drawing(5, models=models, patients=patients, trainings=trainings, deviation=deviation)
                    for patients in (20, 50)
                }
                rates = [error_rates(draw, count) for draw in draws.values()]
                numbers = [number for rate in rates for number in (rate.networks, rate.recipe)]
                rows.append([deviation, trainings, models, *as_text(*numbers)])
    networks, recipe = "these networks, n = {}", "called different, n = {}"
    header = ["SD of trainings", "trainings", "models"]
    return Table([*header, *(name.format(n) for n in (20, 50) for name in (networks, recipe))], rows)


def errors_by_patient(repetitions: int = REPETITIONS) -> Table:
    """How often equal models on 12 patients with 4 scans each are called different, by what is taken as the unit."""
    rows = []
    for models in (2, 4):
        draw = drawing(6, models=models, patients=12, scans=4)
        by_scan = error_rates(lambda count, draw=draw: as_patients(draw(count)), repetitions)
        rows.append([models, *as_text(by_scan.recipe, error_rates(draw, repetitions).recipe)])
    return Table(["models", "by scan", "by patient"], rows)


def as_patients(scores: np.ndarray) -> np.ndarray:
    """Pretend that each scan is of another patient."""
    return scores.reshape(*scores.shape[:-2], -1, 1)


def errors_of_rare_failures(repetitions: int = REPETITIONS) -> Table:
    """How often means are called different that are equal, where half of the models fail in one study of ten."""
    rows = []
    for models in (2, 4):
        for patients in (10, 20, 50, 100):
            rng = np.random.default_rng(7)
            draw = drawing(8, models=models, patients=patients)
            rates = error_rates(lambda count, draw=draw, rng=rng: fail_rarely(rng, draw(count)), repetitions)
            rows.append([models, patients, *as_text(rates.rank, rates.recipe)])
    return Table(["models", "patients", "Wilcoxon", "called different"], rows)


def power(repetitions: int = REPETITIONS) -> Table:
    """How often the better of two models, or one of four that is better than the others, is told from another."""
    rows = []
    for models in (2, 4):
        for trainings in (1, 3):
            for patients in (10, 20, 50):
                found = []
                for effect in (0.02, 0.05):
                    rng = np.random.default_rng(9)
                    scores = draw_scores(rng, repetitions, models, patients, trainings, 0.01)
                    scores[0] += effect
                    pairs = judged(scores)
                    found.append(100 * (decide(pairs)[2][0] & (pairs.differences[0].mean(axis=-1) > 0)).mean())
                rows.append([models, trainings, patients, *as_text(*found)])
    return Table(["models", "trainings", "patients", "difference 0.02", "difference 0.05"], rows)


def coverage_in_cross_validation(repetitions: int = REPETITIONS) -> Table:
    """How often intervals cover the difference of two recipes that is expected with new patients and new trainings."""
    rng = np.random.default_rng(10)
    rows = []
    for features in (6, 10, 20):
        for folds in (5, 10):
            scores, fold = cross_validate(rng, 5 * repetitions, features, folds)
            truth = float(scores.mean())
            estimates = [
                over_patients(scores),
                over_folds(scores, Folds(fold, 0)),
                over_folds(scores, Folds(fold, 1 / (folds - 1))),
            ]
            rows.append([features, folds, *(covered(plain_t(estimate), truth) for estimate in estimates)])
    header = ["features", "folds", "t over patients", "t over folds", "corrected t over folds"]
    return Table(header, rows)


def cross_validate(
    rng: np.random.Generator, experiments: int, features: int, folds: int, patients: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Return differences in score (experiments, patients) of two recipes in a cross-validation, and each one's fold.

    The task is linear regression on targets with unit noise. One recipe fits all features, the other only the half that
    matter. A score is exp(−|error|) against the target without noise, from 0 to 1.
    """
    data = rng.normal(size=(experiments, patients, features))
    signal = 0.3 * data[..., : features // 2].sum(axis=-1)
    target = signal + rng.normal(size=signal.shape)
    fold = np.arange(patients) % folds
    differences = np.empty(signal.shape)
    for number in range(folds):
        held = fold == number
        found = [
            np.exp(-np.abs(signal[:, held] - predict(data[:, ~held, :used], target[:, ~held], data[:, held, :used])))
            for used in (features, features // 2)
        ]
        differences[:, held] = found[0] - found[1]
    return differences, fold


def predict(known: np.ndarray, target: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return what least squares predicts for new patients."""
    transposed = np.swapaxes(known, -1, -2)
    weights = np.linalg.solve(transposed @ known, transposed @ target[..., None])
    predicted: np.ndarray = (new @ weights)[..., 0]
    return predicted


def drawing(seed: int, **arguments: float) -> Callable[[int], np.ndarray]:
    """Return a function that draws more experiments of a kind each time."""
    rng = np.random.default_rng(seed)
    return lambda count: draw_scores(rng, count, **arguments)  # type: ignore[arg-type]


def fewer(repetitions: int, models: int) -> int:
    """Return how many experiments to judge: a fifth for the 190 pairs of twenty models."""
    return max(1, repetitions // 5) if models > 4 else repetitions


def as_text(*numbers: float) -> list[str]:
    return [f"{number:.1f}" for number in numbers]


TABLES: dict[str, Callable[[int], Table]] = {
    "coverage of means": coverage_of_means,
    "coverage of recipes": coverage_of_recipes,
    "errors of equal models": errors_of_equal_models,
    "errors by training": errors_by_training,
    "errors by patient": errors_by_patient,
    "rare failures": errors_of_rare_failures,
    "power": power,
    "choice of the best": choice_of_the_best,
    "cross-validation": coverage_in_cross_validation,
}


def sections(repetitions: int) -> Iterator[tuple[str, str]]:
    """Return the name and the Markdown of each table."""
    for name, table in TABLES.items():
        found = table(repetitions)
        yield name, tabulate(found.rows, found.header, tablefmt="github", disable_numparse=True)


def put(page: str, name: str, table: str) -> str:
    """Return the page with the table below its mark `<!-- table: name -->` replaced."""
    mark = f"<!-- table: {name} -->\n\n"
    pattern = re.compile(rf"{re.escape(mark)}(\|.*\n)*")
    if not pattern.search(page):
        raise ValueError(f"the page has no place for the table {name}")
    return pattern.sub(lambda _: f"{mark}{table}\n", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="experiments of each kind")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    for name, table in sections(arguments.repetitions):
        print(f"\n{name}\n\n{table}", flush=True)
        page = put(page, name, table)
    if arguments.write:
        with atomic(PAGE) as temporary:
            temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
