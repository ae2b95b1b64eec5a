"""The share of the lungs that models mark, set against the classes that radiologists have given to the same scans.

The classes are MosMedData's (Morozov et al. 2020, arXiv:2005.06465): CT-0 no involvement, CT-1 up to 25 % of the lung
parenchyma, CT-2 25 to 50 %, CT-3 50 to 75 %, CT-4 above. No mask is needed, so studies judge a model that it has never
seen and that nobody has drawn. `docs/severity.md` says what each number means.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from lesionbench.data.studies import CATEGORIES
from lesionbench.evaluation.statistics import CONFIDENCE, SEED, fewest_studies, holm

LEAST = 0.002  # of the lungs, below which nothing counts as involved: 8 ml of 4 litres
BOUNDS = (0.25, 0.5, 0.75)  # the most of CT-1, CT-2 and CT-3
MEASURES = ("spearman", "auc_involved", "auc_above_ct1", "kappa")
_BLOCK = 2**22  # numbers in an array of resamples
_PENALTIES = np.subtract.outer(np.arange(len(CATEGORIES)), np.arange(len(CATEGORIES))) ** 2


def grade(shares: np.ndarray) -> np.ndarray:
    """Return the class that a share of the lungs means, 0 to 4."""
    values = np.asarray(shares)
    grades: np.ndarray = (values >= LEAST).astype(int) + sum((values > bound).astype(int) for bound in BOUNDS)
    return grades


@dataclass(frozen=True)
class Severity:
    """What the shares of some models say.

    scores: a row a model: studies, patients, and each of MEASURES with its 95 % interval (`…_low`, `…_high`); pairs: a
    row for two models and a measure; classes: a row for a model and a class: studies, quartiles of the share, and how
    many of its studies are cut into each class; left_out: the studies without a share, because no lungs were found.
    """

    scores: pd.DataFrame
    pairs: pd.DataFrame
    classes: pd.DataFrame
    left_out: list[str]


def judge_severity(shares: pd.DataFrame, patients: Mapping[str, str], resamples: int) -> Severity:
    """Compare shares with classes.

    shares: a row for a model and a study: model, study, category (of CATEGORIES), share (0 to 1, NaN where undefined);
    every model has the same studies. Only studies with a share of every model count. Intervals are percentiles of
    `resamples` draws of patients with replacement, the same for all models, and NaN for fewer patients than
    `fewest_studies`. The p of a difference is that of its ratio to the standard error of these draws under a normal
    distribution, corrected by Holm for all pairs and measures.
    """
    table = shares.pivot(index="study", columns="model", values="share")
    left_out = sorted(table.index[table.isna().any(axis="columns")])
    table = table.drop(index=left_out)
    wide = {str(model): table[model].to_numpy() for model in dict.fromkeys(shares["model"])}
    categories = shares.drop_duplicates("study").set_index("study")["category"]
    classes = categories.loc[table.index].map(CATEGORIES.index).to_numpy(int)
    owners = pd.factorize(np.array([patients.get(study, study) for study in table.index], object))[0]
    once = np.ones((1, len(table)))
    found = {model: measure_agreement(own, classes, once)[0] for model, own in wide.items()}
    drawn = _draw(wide, classes, owners, resamples)
    rows = []
    for model, values in found.items():
        row: dict[str, object] = {"model": model, "studies": len(table), "patients": len(np.unique(owners))}
        for measure, value, (low, high) in zip(MEASURES, values, _percentiles(drawn[model]), strict=True):
            row |= {measure: value, f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return Severity(pd.DataFrame(rows), _pairs(found, drawn), _by_class(wide, classes), left_out)


def measure_agreement(shares: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the MEASURES of samples in which studies stand several times or not at all, (samples, 4).

    shares: (studies,), 0 to 1; classes: (studies,), 0 to 4; weights: (samples, studies), how often each study stands.
    Spearman's rank correlation, with mean ranks for ties; the areas under the ROC curve of the share for class above 0
    and for class above 1 (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747), where ties count half; Cohen's
    kappa of `grade` and class, quadratic weights (Cohen 1968, doi:10.1037/h0026256). NaN where undefined, as without
    one of the two sides.
    """
    order = np.argsort(shares, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(shares[order]) > 0])[: len(shares)]
    group = np.searchsorted(shares[order][starts], shares)

    def grouped(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values[:, order], starts, axis=1)

    return np.column_stack(
        [
            _spearman(grouped(weights), weights, group, classes),
            *(_auc(grouped(weights * (classes > bound)), grouped(weights * (classes <= bound))) for bound in (0, 1)),
            _kappa(weights, grade(shares), classes),
        ]
    )


def _spearman(by_share: np.ndarray, weights: np.ndarray, group: np.ndarray, classes: np.ndarray) -> np.ndarray:
    by_class = weights @ (classes[:, None] == np.arange(len(CATEGORIES)))
    total = weights.sum(axis=1)
    ranks = [np.cumsum(counts, axis=1) - (counts - 1) / 2 - (total[:, None] + 1) / 2 for counts in (by_share, by_class)]
    spreads = [(counts * rank**2).sum(axis=1) for counts, rank in zip((by_share, by_class), ranks, strict=True)]
    together = (weights * ranks[0][:, group] * ranks[1][:, classes]).sum(axis=1)
    return _ratio(together, np.sqrt(spreads[0] * spreads[1]))


def _auc(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    below = np.cumsum(negative, axis=1) - negative / 2
    return _ratio((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def _kappa(weights: np.ndarray, grades: np.ndarray, classes: np.ndarray) -> np.ndarray:
    size = len(CATEGORIES)
    cells = weights @ np.eye(size * size)[grades * size + classes]
    table = cells.reshape(-1, size, size)
    expected = table.sum(axis=2)[:, :, None] * table.sum(axis=1)[:, None] / weights.sum(axis=1)[:, None, None]
    apart, by_chance = ((part * _PENALTIES).sum(axis=(1, 2)) for part in (table, expected))
    kappa: np.ndarray = 1 - _ratio(apart, by_chance)
    return kappa


def _ratio(value: np.ndarray, by: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by > 0, value / by, np.nan)


def _draw(
    wide: Mapping[str, np.ndarray], classes: np.ndarray, owners: np.ndarray, resamples: int
) -> dict[str, np.ndarray]:
    """Return the MEASURES of each model in draws of patients, (resamples, 4); none for too few patients."""
    patients = int(owners.max(initial=-1)) + 1
    drawn: dict[str, list[np.ndarray]] = {model: [np.empty((0, len(MEASURES)))] for model in wide}
    for weights in _weights(owners, patients, resamples) if patients >= fewest_studies() else ():
        for model, shares in wide.items():
            drawn[model].append(measure_agreement(shares, classes, weights))
    return {model: np.concatenate(parts) for model, parts in drawn.items()}


def _weights(owners: np.ndarray, patients: int, resamples: int) -> Iterator[np.ndarray]:
    """Yield how often each study stands in draws of patients, a few draws at a time."""
    rng = np.random.default_rng(SEED)
    size = max(1, _BLOCK // max(len(owners), 1))
    for start in range(0, resamples, size):
        counts = rng.multinomial(patients, np.full(patients, 1 / patients), size=min(size, resamples - start))
        yield counts[:, owners].astype(float)


def _percentiles(drawn: np.ndarray) -> list[tuple[float, float]]:
    ends = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    defined = [column[np.isfinite(column)] for column in drawn.T]
    return [tuple(np.percentile(column, ends)) if column.size else (math.nan, math.nan) for column in defined]


def _pairs(found: Mapping[str, np.ndarray], drawn: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return a row for each two models and each measure: first − second, its interval, p, and p by Holm."""
    rows = []
    for first, second in combinations(found, 2):
        differences = found[first] - found[second]
        errors = _errors(drawn[first] - drawn[second])
        for measure, difference, error in zip(MEASURES, differences, errors, strict=True):
            reach = stats.norm.ppf(0.5 + CONFIDENCE / 2) * error
            p = 1.0 if difference == error == 0 else 2 * stats.norm.sf(abs(difference) / error) if error else math.nan
            rows.append((first, second, measure, difference, difference - reach, difference + reach, p))
    pairs = pd.DataFrame(rows, columns=["first", "second", "measure", "difference", "low", "high", "p"])
    return pairs.assign(p_holm=holm(pairs["p"].to_numpy()) if rows else [])


def _errors(differences: np.ndarray) -> Sequence[float]:
    """Return the standard deviation of each column where it is defined."""
    defined = [column[np.isfinite(column)] for column in differences.T]
    return [float(column.std(ddof=1)) if column.size > 1 else math.nan for column in defined]


def _by_class(wide: Mapping[str, np.ndarray], classes: np.ndarray) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for model, shares in wide.items():
        grades = grade(shares)
        for number, category in enumerate(CATEGORIES):
            inside = classes == number
            quartiles = np.percentile(shares[inside], [25, 50, 75]) if inside.any() else np.full(3, math.nan)
            cut = {name: int((grades[inside] == place).sum()) for place, name in enumerate(CATEGORIES)}
            row = {"model": model, "category": category, "studies": int(inside.sum())}
            rows.append({**row, **dict(zip(("q1", "median", "q3"), quartiles, strict=True)), **cut})
    return pd.DataFrame(rows)
