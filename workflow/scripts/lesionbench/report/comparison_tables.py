"""The tables of a comparison: the paper's (chapter 10) with what is needed to judge it, and what lies behind it."""

from typing import Any

import pandas as pd

from lesionbench.evaluation.comparison import FAILURE, Comparison, Sample
from lesionbench.evaluation.scores import READINGS
from lesionbench.evaluation.scoring import Scoring
from lesionbench.evaluation.statistics import fewest_studies
from lesionbench.report.conclusions import conclusions, unit, units
from lesionbench.report.metric_tables import lesion_means, metric_means, volume_means
from lesionbench.report.tables import UNDEFINED, Table, format_interval, format_number, format_p
from lesionbench.words import counted


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
    """Return mean, minimum and maximum Dice of each model beside the paper's, with intervals and first ranks."""
    data = comparison.models
    notes = (*conclusions(comparison), *comparison_notes(comparison))
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
    shown["Mean, 95\u00a0% interval"] = _intervals(data["mean_low"], data["mean_high"])
    if data["recipe_low"].notna().any():
        shown["Trained again, 95\u00a0% interval"] = _intervals(data["recipe_low"], data["recipe_high"])
    shown |= {
        "Median": data["median"].map(format_number),
        "Quartiles": _intervals(data["quartile_1"], data["quartile_3"]),
        "Min Dice": data["min_dice"].map(format_number),
        f"Dice < {FAILURE}": data["failures"].map(str),
        "SD over seeds": data["sd_over_seeds"].map(format_number),
    }
    if len(data) > 1:
        shown["Ranked first"] = [_percent(share) for share in data["ranked_first"]]
    if data["false_positive_ml"].notna().any():
        shown["False positive (ml)"] = [format_number(volume, 1) for volume in data["false_positive_ml"]]
        shown["Any false positive"] = [_percent(share) for share in data["any_false_positive"]]
    return pd.DataFrame(shown)


def comparison_notes(comparison: Comparison) -> list[str]:
    """Return how the comparison is to be read."""
    sample, data = comparison.sample, comparison.models
    notes = [_describe_sample(sample), *_describe_intervals(sample, data)]
    if data["sd_over_seeds"].isna().all():
        notes.append("SD over seeds is empty: there is one training of each model.")
    if len(data) > 1:
        drawn = "and trainings " if (data["trainings"] > 1).any() else ""
        notes.append(
            f"Ranked first: share of draws of the {units(sample)} {drawn}with replacement in which the model has the "
            "highest mean; no probability that it is the best."
            if sample.patients >= fewest_studies()
            else f"Ranked first is not given for fewer than {fewest_studies()}: drawing so few again is no evidence."
        )
    if data["paper_mean_dice"].notna().any():
        notes.append(
            "The paper names neither its test studies nor its averaging; a difference from it mixes split, seed, "
            "recipe and reading."
        )
    return notes


def _describe_sample(sample: Sample) -> str:
    several = f" of {counted(sample.patients, 'patient')}, who count once each" if unit(sample) == "patient" else ""
    text = (
        f"n = {counted(sample.studies, 'study')}{several}: those with lesion and a score of every model. All columns "
        "of Dice, tests and ranks stand on them. Dice of the whole volume; a study's trainings are averaged first."
    )
    if sample.unscored:
        text += f" {counted(sample.unscored, 'study')} with lesion lack a score of some model."
    if sample.lesion_free:
        text += (
            f" {counted(sample.lesion_free, 'study')} without lesion count apart: false positive is the volume marked "
            "there, any false positive the share of them in which anything is."
        )
    return text


def _describe_intervals(sample: Sample, data: pd.DataFrame) -> list[str]:
    if sample.patients < 2:
        return [f"One {unit(sample)} gives no interval."]
    notes = [
        f"Interval: logit-t over {units(sample)}, of these trained networks on others like them. In simulations with "
        f"skewed scores within 0 and 1 it covers the mean in {100 * sample.coverage:.0f}\u00a0% for n = "
        f"{sample.patients:,}."
    ]
    if sample.folds > 1:
        notes.append(
            f"Trained again: of the recipe, trained and tested on other patients; the corrected resampled t over "
            f"{sample.folds} folds, which share training data (Nadeau and Bengio)."
        )
    elif data["recipe_low"].notna().any():
        notes.append(
            f"Trained again: the recipe with other seeds on other {units(sample)}, both drawn again, crossed; the "
            "training data stay the same."
        )
    return notes


def pairwise(comparison: Comparison) -> Table:
    """Return the differences of all pairs of models, and in words what they show."""
    data = comparison.pairs
    shown: dict[str, Any] = {
        "First": data["first_label"],
        "Second": data["second_label"],
        "Difference": _signed(data["difference"]),
        "95\u00a0% interval": _intervals(data["low"], data["high"], signed=True),
    }
    recipe = data["p_recipe"].notna().any()
    if recipe:
        shown["Trained again, 95\u00a0% interval"] = _intervals(data["recipe_low"], data["recipe_high"], signed=True)
    shown |= {"p, ranks": data["p_rank"].map(format_p), "p, mean": data["p_mean"].map(format_p)}
    if recipe:
        shown["p, trained again"] = data["p_recipe"].map(format_p)
    shown |= {
        "p (Holm)": data["p_holm"].map(format_p),
        "Wins/ties/losses": [f"{row.wins}/{row.ties}/{row.losses}" for row in data.itertuples()],
        "n for 0.05": [format_number(number, 0) for number in data["studies_for_05"]],
        "n for 0.02": [format_number(number, 0) for number in data["studies_for_02"]],
        "Differ": data["different"].map({True: "yes", False: "no"}),
    }
    many, number = units(comparison.sample), counted(comparison.sample.patients, unit(comparison.sample))
    again = (
        " Trained again: of the recipes with other trainings, as in the table of models; p, trained again, tests that."
        if recipe
        else ""
    )
    note = (
        f"Mean difference in Dice, first − second, n = {number}; interval: t over {many}, of these trained networks, "
        f"for each pair alone.{again} p, ranks: Wilcoxon signed-rank test; p, mean: t test; p (Holm): the largest of a "
        f"pair's p, corrected for all pairs; wins: {many} in which the first scores higher; n for 0.05 and 0.02: "
        f"{many} needed to find a true difference of that size with a chance of 80 % at this spread, for the next "
        "experiment; differ: p (Holm) below 0.05. An interval may leave out zero without that, since it is not "
        "corrected for the other pairs."
    )
    title = "Differences between the models"
    return Table(title, data, pd.DataFrame(shown), (*conclusions(comparison), note), text_columns=2)


def per_study(comparison: Comparison) -> Table:
    """Return the Dice of each study (row) by each model (column), a dash where the reference holds no lesion."""
    dice, labels = comparison.scores["dice"], list(comparison.labels.values())
    shown = dice.map(format_number).set_axis(labels, axis="columns")
    shown.insert(0, "Study", dice.index, allow_duplicates=True)
    return Table(
        "Dice of each study",
        dice.reset_index(),
        shown,
        ("Averaged over seeds. A dash: the reference holds no lesion.",),
    )


def readings(comparison: Comparison) -> Table:
    """Return the mean Dice of the same predictions under each reading of the term (`scores.dice_readings`)."""
    means, labels = comparison.readings, list(comparison.labels.values())
    data = means.rename_axis("model").reset_index()
    data.insert(1, "label", labels)
    shown = means.map(format_number).rename(columns=lambda name: READINGS[name].capitalize())
    shown.insert(0, "Model", labels)
    notes = (
        f"The same predictions of {counted(comparison.sample.studies, 'study')} with lesion throughout; empty: neither "
        "reference nor prediction holds lesion in the slice.",
    )
    return Table("Mean Dice by what is averaged", data, shown, notes)


def _percent(share: float) -> str:
    return UNDEFINED if pd.isna(share) else f"{100 * share:.0f} %"


def _signed(values: pd.Series) -> list[str]:
    return [format_number(value, signed=True) for value in values]


def _intervals(low: pd.Series, high: pd.Series, signed: bool = False) -> list[str]:
    return [format_interval(*ends, signed=signed) for ends in zip(low, high, strict=True)]
