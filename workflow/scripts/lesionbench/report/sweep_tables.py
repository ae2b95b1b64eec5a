"""The tables of sweeps: what each of their rows scores, and what the chosen one is worth."""

import math

import pandas as pd

from lesionbench.evaluation.comparison import Comparison
from lesionbench.report.conclusions import units
from lesionbench.report.tables import UNDEFINED, Table, format_interval, format_number

_KINDS = ("chosen on validation", "best on the test", "best, corrected for the choice")


def sweep_tables(comparison: Comparison) -> dict[str, Table]:
    """Return the tables sweeps and sweep_rows."""
    return {"sweeps": _sweeps(comparison), "sweep_rows": _rows(comparison)}


def _sweeps(comparison: Comparison) -> Table:
    rows = []
    for sweep in comparison.sweeps.to_dict("records"):
        chosen = [sweep["chosen"], *(sweep[f"chosen_{name}"] for name in ("dice", "low", "high"))]
        corrected = [sweep["best"], *(sweep[f"corrected_{name}"] for name in ("dice", "low", "high"))]
        scores = zip(_KINDS, (chosen, [sweep["best"], sweep["best_dice"], math.nan, math.nan], corrected), strict=True)
        rows += [[sweep["sweep"], sweep["label"], sweep["rows"], kind, *score] for kind, score in scores]
    data = pd.DataFrame(rows, columns=["sweep", "label", "rows", "kind", "model", "mean_dice", "low", "high"])
    shown = pd.DataFrame(
        {
            "Sweep": data["label"],
            "Score": data["kind"],
            "Row": [_values(comparison, *found) for found in zip(data["model"], data["label"], strict=True)],
            "Rows": data["rows"].map(str),
            "Mean Dice": data["mean_dice"].map(format_number),
            "95\u00a0% interval": list(map(format_interval, data["low"], data["high"])),
        }
    )
    shown.loc[(data["model"] == "") & data["mean_dice"].notna(), "Row"] = "by fold"
    many = units(comparison.sample)
    several = comparison.sample.folds > 1
    notes = (
        "Report the row chosen on validation: nothing of the test was seen in that choice. Its interval: logit-t over "
        f"{many}, of these trained networks."
        + (" Each fold chooses for its own test studies, since other folds validate on them." if several else ""),
        "Best on the test: chosen by the same scores that it is given, which is optimistic, the more rows the more so. "
        f"Corrected: the {many} are drawn again with replacement, the row that is best among those drawn is scored on "
        "those left out, and the mean is over draws; the interval is percentiles of the draws (Tsamardinos et al. "
        "2018, doi:10.1007/s10994-018-5714-4). It is what the best of such a sweep reaches, in the mean, on others.",
    )
    return Table("Sweeps: what the choice of a row is worth", data, shown, notes, text_columns=3)


def _rows(comparison: Comparison) -> Table:
    data, folds = comparison.sweep_rows, comparison.sample.folds
    names = data["sweep"].map(comparison.sweeps.set_index("sweep")["label"])
    shown = pd.DataFrame(
        {
            "Sweep": names,
            "Row": [_values(comparison, *found) for found in zip(data["model"], names, strict=True)],
            "Validation Dice": data["validation_dice"].map(format_number),
            "Test Dice": data["mean_dice"].map(format_number),
            "Chosen on validation": [_share(count, folds) for count in data["chosen_folds"]],
            "Best on the test": data["best"].map({True: "yes", False: "no"}),
        }
    )
    notes = (
        "Validation Dice: of the masks at 0.5, in the epoch whose weights are kept, as a mean over seeds and folds. "
        "Keys of the section evaluation do not change it. A dash: the row is not trained here.",
    )
    return Table("Sweeps: their rows", data, shown, notes, text_columns=2)


def _values(comparison: Comparison, model: str, sweep: str) -> str:
    """Return the label of a row without that of its sweep, which stands beside it."""
    return comparison.labels.get(model, UNDEFINED).removeprefix(f"{sweep}, ")


def _share(count: int, folds: int) -> str:
    if folds > 1:
        return f"{count} of {folds} folds"
    return "yes" if count else "no"
