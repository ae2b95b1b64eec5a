"""The comparison of models: the paper's table (chapter 10) with what is needed to judge it, and what lies behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lesionbench.evaluation.scores import READINGS, dice_readings, scores_by_study, spread_over_seeds
from lesionbench.evaluation.statistics import (
    RESAMPLES,
    compare_pairs,
    conclusions,
    fewest_studies,
    mean_interval,
    rank_distribution,
)
from lesionbench.report.tables import UNDEFINED, Table, format_interval, format_number

# Header and decimals of each further metric, where the metrics files have it.
METRICS = {
    "precision": ("Precision", 3),
    "recall": ("Recall", 3),
    "hd95_mm": ("HD95 (mm)", 1),
    "surface_dice": ("Surface Dice", 3),
    "reference_ml": ("Reference (ml)", 1),
    "predicted_ml": ("Predicted (ml)", 1),
    "volume_difference_ml": ("Volume difference (ml)", 1),
    "lesions_reference": ("Lesions", 1),
    "lesions_found": ("Found", 1),
    "lesions_missed": ("Missed", 1),
    "lesions_false": ("False", 1),
    "false_slices": ("False slices", 1),
    "false_slices_ml": ("False slices (ml)", 1),
}


def make_tables(
    studies: pd.DataFrame,
    slices: pd.DataFrame,
    labels: Mapping[str, str],
    reference: Sequence[tuple[str, float, float]] = (),
    resamples: int = RESAMPLES,
) -> dict[str, Table]:
    """Return the tables comparison, pairwise, per_study, metrics and readings.

    `studies` and `slices` are the scores of all runs (`scores.collect_scores`), `labels` the models' names in words,
    in the order of the tables, `reference` rows of (model, mean Dice, maximum Dice) to set beside ours, `resamples` how
    often the bootstrap draws.
    """
    dice = scores_by_study(studies, list(labels))
    pairs, ranks = compare_pairs(dice, resamples=resamples), rank_distribution(dice, resamples)
    verdict = conclusions(dice, pairs, ranks, labels)
    intervals = {model: mean_interval(dice[model], resamples=resamples) for model in labels}
    return {
        "comparison": comparison(
            dice, intervals, ranks, spread_over_seeds(studies, list(labels)), labels, reference, verdict
        ),
        "pairwise": pairwise(pairs, labels, verdict),
        "per_study": per_study(dice, labels),
        "metrics": metric_means(studies, labels),
        "readings": readings(slices, labels),
    }


def comparison(
    dice: pd.DataFrame,
    intervals: Mapping[str, np.ndarray],
    ranks: pd.DataFrame,
    spread: pd.Series,
    labels: Mapping[str, str],
    reference: Sequence[tuple[str, float, float]],
    verdict: tuple[str, ...],
) -> Table:
    """Return mean and maximum Dice of each model beside the paper's, with interval, quartiles and chance to rank first.

    `dice` has a row a study and a column a model.
    """
    given = {model: (mean, maximum) for model, mean, maximum in reference}
    rows = []
    for model, label in labels.items():
        scores = dice[model]
        low, high = intervals[model]
        paper_mean, paper_max = given.get(model, (float("nan"),) * 2)
        rows.append(
            {
                "model": model,
                "label": label,
                "mean_dice": scores.mean(),
                "max_dice": scores.max(),
                "paper_mean_dice": paper_mean,
                "mean_difference": scores.mean() - paper_mean,
                "paper_max_dice": paper_max,
                "max_difference": scores.max() - paper_max,
                "mean_low": low,
                "mean_high": high,
                **dict(zip(("quartile_1", "median", "quartile_3"), scores.quantile([0.25, 0.5, 0.75]), strict=True)),
                "sd_over_seeds": spread[model],
                "ranked_first": ranks.loc[model, 1],
                "studies": int(scores.notna().sum()),
                "undefined": int(scores.isna().sum()),
            }
        )
    data = pd.DataFrame(rows)
    return Table("Comparison of the models", data, show_comparison(data), (*verdict, *comparison_notes(data)))


def show_comparison(data: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison as text, with readable headers: the columns that have anything to say."""
    shown: dict[str, Any] = {
        "Model": data["label"],
        "Mean Dice": data["mean_dice"].map(format_number),
        "Max Dice": data["max_dice"].map(format_number),
    }
    if data["paper_mean_dice"].notna().any():
        shown |= {
            "Paper mean": data["paper_mean_dice"].map(format_number),
            "Mean − paper": _signed(data["mean_difference"]),
            "Paper max": data["paper_max_dice"].map(format_number),
            "Max − paper": _signed(data["max_difference"]),
        }
    shown |= {
        "Mean, 95\u00a0% interval": _intervals(data["mean_low"], data["mean_high"]),
        "Median": data["median"].map(format_number),
        "Quartiles": _intervals(data["quartile_1"], data["quartile_3"]),
    }
    if data["sd_over_seeds"].notna().any():
        shown["SD over seeds"] = data["sd_over_seeds"].map(format_number)
    if len(data) > 1:
        shown["Ranked first"] = [UNDEFINED if pd.isna(x) else f"{100 * x:.0f} %" for x in data["ranked_first"]]
    shown["Studies"] = data["studies"].map(str)
    if data["undefined"].any():
        shown["Undefined"] = data["undefined"].map(str)
    return pd.DataFrame(shown)


def comparison_notes(data: pd.DataFrame) -> list[str]:
    """Return how the comparison is to be read."""
    notes = [
        "Dice per study, on the whole volume, averaged over seeds first; interval: BCa bootstrap over studies; "
        "ranked first: share of resamples of the studies in which the model has the highest mean."
    ]
    if data["studies"].max() < fewest_studies():
        notes.append(f"Neither is given for fewer than {fewest_studies()} studies: resampling so few is no evidence.")
    if data["paper_mean_dice"].notna().any():
        notes.append(
            "The paper names neither its test studies nor its averaging; a difference from it mixes split, seed, "
            "recipe and reading."
        )
    if data["undefined"].any():
        notes.append("Undefined: studies without lesion in both reference and prediction; they count in no column.")
    return notes


def pairwise(pairs: pd.DataFrame, labels: Mapping[str, str], verdict: tuple[str, ...]) -> Table:
    """Return the differences of all pairs of models (`statistics.compare_pairs`), and in words what they show."""
    data = pairs.copy()
    data.insert(2, "first_label", data["first"].map(labels))
    data.insert(3, "second_label", data["second"].map(labels))
    shown = pd.DataFrame(
        {
            "First": data["first_label"],
            "Second": data["second_label"],
            "Difference": _signed(data["difference"]),
            "95\u00a0% interval": _intervals(data["low"], data["high"], signed=True),
            "p": data["p"].map(_format_p),
            "p (Holm)": data["p_holm"].map(_format_p),
            "Wins/ties/losses": [f"{row.wins}/{row.ties}/{row.losses}" for row in data.itertuples()],
            "Detectable": data["detectable"].map(format_number),
            "Told apart": data["different"].map({True: "yes", False: "no"}),
            "Studies": data["studies"].map(str),
        }
    )
    notes = (
        "Mean difference in Dice per study, first − second; interval: BCa bootstrap over studies, for each pair alone; "
        "p: Wilcoxon signed-rank test; wins: studies in which the first scores higher; detectable: true difference "
        "that would have been found with a chance of 80 %; told apart: Holm's p below 0.05 and zero outside the "
        "interval.",
    )
    return Table("Differences between the models", data, shown, (*verdict, *notes), words=2)


def per_study(dice: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return the Dice of each study (row) by each model (column)."""
    data = dice.reset_index()
    shown = dice.map(format_number).rename(columns=labels).rename_axis("Study").reset_index(allow_duplicates=True)
    return Table("Dice of each study", data, shown, ("Averaged over seeds.",))


def metric_means(studies: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return each model's mean over studies of every further metric, and in how many studies it is undefined."""
    data = pd.DataFrame({"model": list(labels), "label": list(labels.values())})
    shown = pd.DataFrame({"Model": list(labels.values())})
    for metric, (header, digits) in METRICS.items():
        if metric not in studies:
            continue
        scores = scores_by_study(studies, list(labels), metric)
        means, undefined = scores.mean().to_numpy(), scores.isna().sum().to_numpy()
        data[metric], data[f"{metric}_undefined"] = means, undefined
        shown[header] = [
            format_number(mean, digits) + (f" ({count})" if count else "")
            for mean, count in zip(means, undefined, strict=True)
        ]
    notes = ("Means over studies, seeds averaged first. In brackets: studies in which the metric is undefined.",)
    return Table("Further metrics", data, shown, notes)


def readings(slices: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return the mean Dice of the same predictions under each reading of the term (`scores.dice_readings`)."""
    means = dice_readings(slices, list(labels))
    data = means.rename_axis("model").reset_index()
    data.insert(1, "label", list(labels.values()))
    shown = means.map(format_number).rename(columns=lambda name: READINGS[name].capitalize())
    shown.insert(0, "Model", list(labels.values()))
    notes = ("The same predictions throughout; empty: neither reference nor prediction holds lesion in the slice.",)
    return Table("Mean Dice by what is averaged", data, shown, notes)


def _signed(values: pd.Series) -> list[str]:
    return [format_number(value, signed=True) for value in values]


def _intervals(low: pd.Series, high: pd.Series, signed: bool = False) -> list[str]:
    return [format_interval(*ends, signed=signed) for ends in zip(low, high, strict=True)]


def _format_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else format_number(p)
