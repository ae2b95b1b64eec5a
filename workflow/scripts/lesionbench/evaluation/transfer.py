"""How models do on external sets, beside the data set that they come from."""

from collections.abc import Mapping, Sequence

import pandas as pd
from scipy import stats

from lesionbench.evaluation.comparison import Comparison
from lesionbench.evaluation.statistics import CONFIDENCE

COLUMNS = [
    "model", "label", "set", "studies", "patients", "mean_dice", "low", "high", "change", "change_low", "change_high",
]  # fmt: skip


def compare_sets(
    own: Comparison, sets: Mapping[str, Comparison], patients: Sequence[Mapping[str, str]], name: str
) -> pd.DataFrame:
    """Return a row for each model and set, with the columns COLUMNS: first the data set's own, then the external ones.

    own, name: the comparison of the data set that the models come from, and its name in words; sets: those of the
    external sets, by their names; patients: of each study, for the data set and for each set in this order.

    The interval of a mean is that of the set's comparison. `change` is the mean of the set less that of the own one.
    Its 95 % interval is Welch's (Biometrika 34:28, 1947, doi:10.2307/2332510) of the patients' means, since the
    patients differ; NaN for the own set, and where a set has fewer than two patients.
    """
    inside = _by_patient(own, patients[0])
    rows = _rows(own, name, inside)
    for (label, comparison), whose in zip(sets.items(), patients[1:], strict=True):
        outside = _by_patient(comparison, whose)
        for row in _rows(comparison, label, outside):
            rows.append(row | _change(inside[row["model"]], outside[row["model"]]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(comparison: Comparison, name: str, by_patient: pd.DataFrame) -> list[dict[str, object]]:
    models = comparison.models.set_index("model")
    return [
        {
            "model": model,
            "label": label,
            "set": name,
            "studies": comparison.sample.studies,
            "patients": len(by_patient),
            "mean_dice": models.loc[model, "mean_dice"],
            "low": models.loc[model, "mean_low"],
            "high": models.loc[model, "mean_high"],
        }
        for model, label in comparison.labels.items()
    ]


def _by_patient(comparison: Comparison, patients: Mapping[str, str]) -> pd.DataFrame:
    """Return the mean Dice of each patient (row) by each model (column)."""
    dice = comparison.dice
    return dice.groupby([patients.get(str(study), str(study)) for study in dice.index]).mean()


def _change(inside: pd.Series, outside: pd.Series) -> dict[str, float]:
    change = {"change": outside.mean() - inside.mean()}
    if min(len(inside), len(outside)) < 2:
        return change
    found = stats.ttest_ind(outside, inside, equal_var=False).confidence_interval(CONFIDENCE)
    return change | {"change_low": float(found.low), "change_high": float(found.high)}
