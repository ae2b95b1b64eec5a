"""The comparison of the models by their scores: everything that tables, figures, conclusions and the summary show."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesionbench.errors import UserError
from lesionbench.evaluation.metrics import METRICS
from lesionbench.evaluation.scores import dice_readings, scores_by_study, spread_over_seeds
from lesionbench.evaluation.statistics import RESAMPLES, compare_pairs, mean_interval, rank_distribution
from lesionbench.files import atomic


@dataclass(frozen=True)
class Comparison:
    """The comparison of models on the test studies.

    labels: the models' names in words, in the order of the tables; scores: of each metric a frame with a row a study
    and a column a model, averaged over seeds, NaN where undefined; models: a row a model, with mean and maximum Dice
    beside the reference results, interval, quartiles, spread over seeds and share of first ranks; pairs: a row for each
    two models (`statistics.compare_pairs`), with their labels; ranks: how often a model (row) takes a rank (column);
    readings: the mean Dice of a model (row) by what is averaged (`scores.READINGS`).
    """

    labels: dict[str, str]
    scores: dict[str, pd.DataFrame]
    models: pd.DataFrame
    pairs: pd.DataFrame
    ranks: pd.DataFrame
    readings: pd.DataFrame

    @property
    def dice(self) -> pd.DataFrame:
        """The Dice of each study (row) by each model (column)."""
        return self.scores["dice"]


def compare_models(
    studies: pd.DataFrame,
    slices: pd.DataFrame,
    labels: Mapping[str, str],
    reference: Sequence[tuple[str, float, float]] = (),
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare models by the scores of all their runs.

    `studies` and `slices` are frames of `scores.collect_scores`, `labels` the models' names in words, in the order of
    the tables, `reference` rows of (model, mean Dice, maximum Dice) to set beside ours, `resamples` how often the
    bootstrap draws.
    """
    names = list(labels)
    scores = {metric.name: scores_by_study(studies, names, metric.name) for metric in METRICS if metric.name in studies}
    dice = scores["dice"]
    ranks = rank_distribution(dice, resamples)
    intervals = {model: mean_interval(dice[model], resamples=resamples) for model in names}
    pairs = compare_pairs(dice, resamples=resamples)
    pairs.insert(2, "first_label", pairs["first"].map(labels))
    pairs.insert(3, "second_label", pairs["second"].map(labels))
    given = {model: (mean, maximum) for model, mean, maximum in reference}
    spread = spread_over_seeds(studies, names)
    rows = [
        {"model": model, "label": label}
        | _describe_dice(dice[model], intervals[model], *given.get(model, (np.nan, np.nan)))
        | {"sd_over_seeds": spread[model], "ranked_first": ranks.loc[model, 1]}
        | {"studies": int(dice[model].notna().sum()), "undefined": int(dice[model].isna().sum())}
        for model, label in labels.items()
    ]
    return Comparison(dict(labels), scores, pd.DataFrame(rows), pairs, ranks, dice_readings(slices, names))


def _describe_dice(scores: pd.Series, interval: np.ndarray, mean: float, maximum: float) -> dict[str, float]:
    """Return a model's Dice for the table of models, beside the mean and maximum of the reference results."""
    return {
        "mean_dice": scores.mean(),
        "max_dice": scores.max(),
        "paper_mean_dice": mean,
        "mean_difference": scores.mean() - mean,
        "paper_max_dice": maximum,
        "max_difference": scores.max() - maximum,
        "mean_low": interval[0],
        "mean_high": interval[1],
        **dict(zip(("quartile_1", "median", "quartile_3"), scores.quantile([0.25, 0.5, 0.75]), strict=True)),
    }


def write_comparison(comparison: Comparison, path: str | Path) -> None:
    """Write a comparison as JSON, at full precision."""
    content = {key.name: getattr(comparison, key.name) for key in fields(comparison)}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, default=_from_frame, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_comparison(path: str | Path) -> Comparison:
    """Read what `write_comparison` wrote. Raises UserError, naming the file, where it is missing or damaged."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        content["scores"] = {metric: _to_frame(frame) for metric, frame in content["scores"].items()}
        frames = {name: _to_frame(content[name]) for name in ("models", "pairs", "ranks", "readings")}
        return Comparison(**content | frames)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
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
