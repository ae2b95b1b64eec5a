"""The tables of a comparison: the paper's (chapter 10) with what is needed to judge it, and what lies behind it."""

from typing import Any

import pandas as pd

from lesionbench.evaluation.comparison import Comparison
from lesionbench.evaluation.scores import READINGS
from lesionbench.evaluation.scoring import Scoring
from lesionbench.evaluation.statistics import fewest_studies
from lesionbench.report.conclusions import conclusions
from lesionbench.report.metric_tables import lesion_means, metric_means, volume_means
from lesionbench.report.tables import UNDEFINED, Table, format_interval, format_number


def make_tables(comparison: Comparison, scoring: Scoring | None = None) -> dict[str, Table]:
    """Return the tables comparison, pairwise, per_study, metrics, volumes, lesions and readings."""
    return {
        "comparison": models(comparison),
        "pairwise": pairwise(comparison),
        "per_study": per_study(comparison),
        "metrics": metric_means(comparison, scoring or Scoring()),
        "volumes": volume_means(comparison),
        "lesions": lesion_means(comparison, scoring or Scoring()),
        "readings": readings(comparison),
    }


def models(comparison: Comparison) -> Table:
    """Return mean and maximum Dice of each model beside the paper's, with interval, quartiles and first ranks."""
    data = comparison.models
    notes = (*conclusions(comparison), *comparison_notes(data))
    return Table("Comparison of the models", data, show_comparison(data), notes)


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


def pairwise(comparison: Comparison) -> Table:
    """Return the differences of all pairs of models, and in words what they show."""
    data = comparison.pairs
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
            "Differ": data["different"].map({True: "yes", False: "no"}),
            "Studies": data["studies"].map(str),
        }
    )
    notes = (
        "Mean difference in Dice per study, first − second; interval: BCa bootstrap over studies, for each pair alone; "
        "p: Wilcoxon signed-rank test; wins: studies in which the first scores higher; detectable: true difference "
        "that would have been found with a chance of 80 %; differ: Holm's p below 0.05 and zero outside the "
        "interval.",
    )
    title = "Differences between the models"
    return Table(title, data, shown, (*conclusions(comparison), *notes), text_columns=2)


def per_study(comparison: Comparison) -> Table:
    """Return the Dice of each study (row) by each model (column)."""
    dice, labels = comparison.dice, list(comparison.labels.values())
    shown = dice.map(format_number).set_axis(labels, axis="columns")
    shown.insert(0, "Study", dice.index, allow_duplicates=True)
    return Table("Dice of each study", dice.reset_index(), shown, ("Averaged over seeds.",))


def readings(comparison: Comparison) -> Table:
    """Return the mean Dice of the same predictions under each reading of the term (`scores.dice_readings`)."""
    means, labels = comparison.readings, list(comparison.labels.values())
    data = means.rename_axis("model").reset_index()
    data.insert(1, "label", labels)
    shown = means.map(format_number).rename(columns=lambda name: READINGS[name].capitalize())
    shown.insert(0, "Model", labels)
    notes = ("The same predictions throughout; empty: neither reference nor prediction holds lesion in the slice.",)
    return Table("Mean Dice by what is averaged", data, shown, notes)


def _signed(values: pd.Series) -> list[str]:
    return [format_number(value, signed=True) for value in values]


def _intervals(low: pd.Series, high: pd.Series, signed: bool = False) -> list[str]:
    return [format_interval(*ends, signed=signed) for ends in zip(low, high, strict=True)]


def _format_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else format_number(p)
