"""The comparison of the models by their scores: everything that tables, figures, conclusions and the summary show."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesionbench.errors import DAMAGED, UserError
from lesionbench.evaluation.metrics import METRICS
from lesionbench.evaluation.scores import (
    compared_studies,
    dice_by_training,
    dice_readings,
    scores_by_study,
)
from lesionbench.evaluation.selection import Sweep, judge_sweeps
from lesionbench.evaluation.simulation import coverage_of_mean
from lesionbench.evaluation.statistics import (
    RESAMPLES,
    Folds,
    compare_pairs,
    dice_interval,
    over_patients,
    rank_distribution,
    recipe_estimates,
    training_spread,
)
from lesionbench.files import atomic, read_json

LARGEST = 2**30  # bytes of a comparison
FAILURE = 0.1  # a Dice below it
WITHOUT_LESION = ("false_positive_ml", "any_false_positive")  # the metrics of studies without lesion


@dataclass(frozen=True)
class Sample:
    """The declared set that means, intervals, tests, ranks and words stand on, and what lies outside.

    studies: with lesion and a Dice of every model; patients: whom they are of; lesion_free: studies without lesion,
    which are scored apart; unscored: studies with lesion that a model has no Dice of; folds: of a cross-validation, 1
    for a single split; coverage: of the interval of a mean for so many patients, by simulation.
    """

    studies: int
    patients: int
    lesion_free: int
    unscored: int
    folds: int
    coverage: float


@dataclass(frozen=True)
class Comparison:
    """The comparison of models on the test studies.

    labels: the models' names in words, in the order of the tables; sample: the declared set; scores: of each metric a
    frame with a row a study and a column a model, averaged over seeds, NaN where undefined; models: a row a model, with
    mean, minimum and maximum Dice beside the reference results, intervals, quartiles, spread over seeds, share of first
    ranks, and false positives where there is no lesion; pairs: a row for each two models (`statistics.compare_pairs`),
    with their labels; ranks: how often a model (row) takes a rank (column); readings: the mean Dice of a model (row)
    by what is averaged (`scores.READINGS`); sweeps, sweep_rows: a row for each sweep, and for each of its rows
    (`selection.judge_sweeps`).
    """

    labels: dict[str, str]
    sample: Sample
    scores: dict[str, pd.DataFrame]
    models: pd.DataFrame
    pairs: pd.DataFrame
    ranks: pd.DataFrame
    readings: pd.DataFrame
    sweeps: pd.DataFrame
    sweep_rows: pd.DataFrame

    @property
    def dice(self) -> pd.DataFrame:
        """The Dice of each study of the declared set (row) by each model (column)."""
        dice = self.scores["dice"]
        return dice.loc[compared_studies(dice)]


def compare_models(
    studies: pd.DataFrame,
    slices: pd.DataFrame,
    labels: Mapping[str, str],
    reference: Sequence[tuple[str, float, float]] = (),
    resamples: int = RESAMPLES,
    patients: Mapping[str, str] | None = None,
    test_share: float = 0,
    sweeps: Mapping[str, Sweep] | None = None,
    validation: pd.DataFrame | None = None,
) -> Comparison:
    """Compare models by the scores of all their runs.

    `studies` and `slices` are frames of `scores.collect_scores`, `labels` the models' names in words, in the order of
    the tables, `reference` rows of (model, mean Dice, maximum Dice) to set beside ours, `resamples` how often the
    bootstrap draws, `patients` the patient of each study (itself by default), `test_share` the test studies of a
    fold over its training studies, for a cross-validation, `sweeps` and `validation` what `selection.judge_sweeps`
    takes.
    """
    names = list(labels)
    scores = {metric.name: scores_by_study(studies, names, metric.name) for metric in METRICS if metric.name in studies}
    kept = compared_studies(scores["dice"])
    whose = {study: (patients or {}).get(study, study) for study in kept}
    trainings = dice_by_training(studies, names, kept, whose)
    folds = _folds(studies, whose, test_share)
    sample = _describe_sample(studies, whose, folds)
    ranks = rank_distribution(trainings, resamples)
    pairs = compare_pairs(trainings, folds)
    pairs.insert(2, "first_label", pairs["first"].map(labels))
    pairs.insert(3, "second_label", pairs["second"].map(labels))
    given = {model: (mean, maximum) for model, mean, maximum in reference}
    intervals = _intervals(trainings, folds)
    rows: list[dict[str, Any]] = [
        {"model": model, "label": label}
        | _describe_dice(scores["dice"].loc[kept, model], trainings[model], *given.get(model, (np.nan, np.nan)))
        | intervals[model]
        | {"ranked_first": ranks.loc[model, 1], "studies": len(kept), "patients": sample.patients}
        for model, label in labels.items()
    ]
    models = pd.DataFrame(rows)
    for name in WITHOUT_LESION:
        models[name] = scores[name].mean().to_numpy() if name in scores else np.nan
    seen = slices[slices["study"].isin(kept)]
    fold_of_patient = None if folds is None else folds.of_patient
    judged = judge_sweeps(sweeps or {}, trainings, validation, labels, fold_of_patient, resamples)
    return Comparison(dict(labels), sample, scores, models, pairs, ranks, dice_readings(seen, names), *judged)


def _folds(studies: pd.DataFrame, whose: Mapping[str, str], test_share: float) -> Folds | None:
    """Return which fold tested each patient, in the patients' order; None for a single split."""
    if studies["fold"].nunique() < 2:
        return None
    of_study = studies.drop_duplicates("study").set_index("study")["fold"]
    return Folds(of_study.groupby(pd.Series(whose)).first().to_numpy(), test_share)


def _describe_sample(studies: pd.DataFrame, whose: Mapping[str, str], folds: Folds | None) -> Sample:
    """Return the sample of which `whose` are the studies, with the patient of each."""
    lesion = studies.groupby("study")["reference_ml"].first() > 0
    patients = len(set(whose.values()))
    count = 1 if folds is None else studies["fold"].nunique()
    outside = int(lesion.sum()) - len(whose)
    return Sample(len(whose), patients, int((~lesion).sum()), outside, count, coverage_of_mean(patients))


def _intervals(trainings: Mapping[str, np.ndarray], folds: Folds | None) -> dict[str, dict[str, float]]:
    """Return the intervals of each model's mean, for these networks and for networks trained again."""
    spreads = {model: training_spread(scores) for model, scores in trainings.items()}
    found = {}
    for model, scores in trainings.items():
        values = scores.mean(axis=0)
        networks = dice_interval([over_patients(values)])
        recipe = dice_interval(recipe_estimates(values, [spreads[model]], list(spreads.values()), folds))
        found[model] = dict(
            zip(("mean_low", "mean_high", "recipe_low", "recipe_high"), [*networks, *recipe], strict=True)
        )
    return found


def _describe_dice(dice: pd.Series, trainings: np.ndarray, mean: float, maximum: float) -> dict[str, float]:
    """Return a model's Dice for the table of models, beside the mean and maximum of the reference results.

    dice: of each study; trainings: of each training and patient. Every patient counts once in the mean.
    """
    own_mean = float(trainings.mean()) if trainings.size else np.nan
    by_training = trainings.mean(axis=1) if trainings.size else np.empty(1)
    return {
        "mean_dice": own_mean,
        "max_dice": dice.max(),
        "min_dice": dice.min(),
        "failures": int((dice < FAILURE).sum()),
        "paper_mean_dice": mean,
        "mean_difference": own_mean - mean,
        "paper_max_dice": maximum,
        "max_difference": dice.max() - maximum,
        **dict(zip(("quartile_1", "median", "quartile_3"), dice.quantile([0.25, 0.5, 0.75]), strict=True)),
        "trainings": len(trainings),
        "sd_over_seeds": by_training.std(ddof=1) if len(trainings) > 1 else np.nan,
    }


def write_comparison(comparison: Comparison, path: str | Path) -> None:
    """Write a comparison as JSON, at full precision."""
    content = {key.name: getattr(comparison, key.name) for key in fields(comparison)}
    content["sample"] = {name: None if value != value else value for name, value in asdict(comparison.sample).items()}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, default=_from_frame, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_comparison(path: str | Path) -> Comparison:
    """Read what `write_comparison` wrote. Raises UserError, naming the file, where it is missing or damaged."""
    try:
        content = read_json(path, LARGEST)
        content["scores"] = {metric: _to_frame(frame) for metric, frame in content["scores"].items()}
        sample = content["sample"]
        sample["coverage"] = np.nan if sample["coverage"] is None else sample["coverage"]
        names = ("models", "pairs", "ranks", "readings", "sweeps", "sweep_rows")
        frames = {name: _to_frame(content[name]) for name in names}
        return Comparison(**content | frames | {"sample": Sample(**sample)})
    except (*DAMAGED, NotImplementedError) as error:  # pandas has its own way with types that are none
        raise UserError(
            f"{path}: cannot be read as a comparison ({error}). Delete it and run the workflow again, which makes it."
        ) from error


def _from_frame(frame: pd.DataFrame) -> dict[str, Any]:
    """Return a frame as columns with their types; NaN is null."""
    plain = frame.astype(object).where(frame.notna(), None)
    return {
        "index": {"name": frame.index.name, "type": str(frame.index.dtype), "values": frame.index.tolist()},
        "columns": [
            {"name": name, "type": str(frame[name].dtype), "values": column.tolist()} for name, column in plain.items()
        ],
    }


def _to_frame(content: Mapping[str, Any]) -> pd.DataFrame:
    columns, rows = content["columns"], content["index"]
    index = pd.Index(rows["values"], rows["type"], name=rows["name"])
    data = {number: pd.Series(column["values"], index, column["type"]) for number, column in enumerate(columns)}
    return pd.DataFrame(data, index).set_axis([column["name"] for column in columns], axis="columns")
