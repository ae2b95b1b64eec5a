"""The tables of sweeps: what each of their rows scores, and what the chosen one is worth."""

from collections.abc import Iterable

import pandas as pd

from lesionbench.evaluation.comparison import Comparison
from lesionbench.report.conclusions import units
from lesionbench.report.tables import UNDEFINED, Table, format_interval, format_number


def sweep_tables(comparison: Comparison) -> dict[str, Table]:
    """Return the tables sweeps and sweep_rows, none where there is no sweep."""
    return {} if comparison.sweeps.empty else {"sweeps": _sweeps(comparison), "sweep_rows": _rows(comparison)}


def _sweeps(comparison: Comparison) -> Table:
    data = comparison.sweeps
    best, several = [comparison.labels[model] for model in data["best"]], comparison.sample.folds > 1
    nothing = data["chosen_dice"].map(_not_one)
    chosen = [comparison.labels.get(model, other) for model, other in zip(data["chosen"], nothing, strict=True)]
    shown = pd.DataFrame(
        {
            "Sweep": data["label"],
            "Chosen on validation": chosen,
            "Best on the test": best,
            "Rows": data["rows"].map(str),
            "Chosen: Dice": data["chosen_dice"].map(format_number),
            "Chosen, 95\u00a0% interval": _intervals(data["chosen_low"], data["chosen_high"]),
            "Best: Dice (optimistic)": data["best_dice"].map(format_number),
            "Best, corrected": data["corrected_dice"].map(format_number),
            "Corrected, 95\u00a0% interval": _intervals(data["corrected_low"], data["corrected_high"]),
        }
    )
    many = units(comparison.sample)
    notes = (
        "Report what was chosen on validation: nothing of the test was seen in that choice. Its interval: logit-t over "
        f"{many}, of these trained networks."
        + (" Each fold chooses for its own test studies, since other folds validate on them." if several else ""),
        "Best: chosen by the same test scores that it is given, which is optimistic, the more rows the more so. "
        f"Corrected: the {many} are drawn again with replacement, the row that is best among those drawn is scored on "
        "those left out, and the mean is over draws; its interval are percentiles of the draws (Tsamardinos et al. "
        "2018, doi:10.1007/s10994-018-5714-4). It is what the best of such a sweep reaches, in the mean, on others.",
    )
    return Table("Sweeps: what the choice of a row is worth", data, shown, notes, text_columns=3)


def _rows(comparison: Comparison) -> Table:
    data, folds = comparison.sweep_rows, comparison.sample.folds
    names = comparison.sweeps.set_index("sweep")["label"]
    chosen = [_share(count, folds) for count in data["chosen_folds"]]
    shown = pd.DataFrame(
        {
            "Sweep": data["sweep"].map(names),
            "Model": data["label"],
            "Validation Dice": data["validation_dice"].map(format_number),
            "Test Dice": data["mean_dice"].map(format_number),
            "Chosen on validation": chosen,
            "Best on the test": data["best"].map({True: "yes", False: "no"}),
        }
    )
    notes = (
        "Validation Dice: of the masks at 0.5, in the epoch whose weights are kept, as a mean over seeds and folds. "
        "Keys of the section evaluation do not change it. A dash: the row is not trained here.",
    )
    return Table("Sweeps: their rows", data, shown, notes, text_columns=2)


def _share(count: int, folds: int) -> str:
    if folds > 1:
        return f"{count} of {folds} folds"
    return "yes" if count else "no"


def _not_one(dice: float) -> str:
    """Return what stands for the chosen row where folds differ in it, or it cannot be told."""
    return UNDEFINED if pd.isna(dice) else "by fold"


def _intervals(low: Iterable[float], high: Iterable[float]) -> list[str]:
    return list(map(format_interval, low, high))
