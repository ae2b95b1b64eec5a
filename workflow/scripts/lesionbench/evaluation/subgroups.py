"""Groups of studies in which a model may do better: by volume of the lesions, category, set and slice spacing."""

import numpy as np
import pandas as pd

from lesionbench.evaluation.comparison import Comparison
from lesionbench.words import rounded

# Upper bounds of slice spacings in mm.
_SPACINGS = {1.5: "up to 1.5 mm", 3: "1.5–3 mm", 5: "3–5 mm", np.inf: "over 5 mm"}
SUBGROUP_SCORES = ("dice", "surface_dice", "lesion_f1", "absolute_volume_difference_ml")


def study_groups(comparison: Comparison, inventory: pd.DataFrame) -> dict[str, dict[str, list[str]]]:
    """Return the studies of the declared set in each group, by the name of the group and by what it is formed.

    Thirds are of the reference's lesion volume, as equal in number as may be; those of one volume are one group.
    Category, set and the distance between axial slices come from the inventory of the data set. Groups are in ascending
    order, and none is empty.
    """
    volumes = comparison.scores["reference_ml"].loc[comparison.dice.index].max(axis="columns")  # the same for each
    volumes = volumes.sort_values(kind="stable")
    thirds = [third for third in np.array_split(volumes.index, 3) if len(third)]
    names = pd.concat([pd.Series(_name_of_volumes(volumes[third]), third) for third in thirds])
    known = inventory.set_index("study").reindex(volumes.index)
    kinds = {"Category": "category", "Set": "set"}
    words = {by: known[name].replace("", np.nan).fillna("unknown") for by, name in kinds.items() if name in known}
    spacings = [
        _name_of_spacing(axial_spacing(*row)) for row in zip(known["spacing_mm"], known["orientation"], strict=True)
    ]
    return {
        "Lesion volume": _members(names, list(dict.fromkeys(names))),
        **{by: _members(groups, sorted(set(groups))) for by, groups in words.items()},
        "Slice spacing": _members(pd.Series(spacings, volumes.index), [*_SPACINGS.values(), "unknown"]),
    }


def subgroup_means(comparison: Comparison, inventory: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of SUBGROUP_SCORES of each model in each group, with the number of studies, a row for both."""
    rows = []
    for by, groups in study_groups(comparison, inventory).items():
        for group, studies in groups.items():
            for model, label in comparison.labels.items():
                means = {
                    name: comparison.scores[name].loc[studies, model].mean()
                    for name in SUBGROUP_SCORES
                    if name in comparison.scores
                }
                rows.append({"by": by, "group": group, "studies": len(studies), "model": model, "label": label} | means)
    return pd.DataFrame(rows)


def axial_spacing(spacing_mm: object, orientation: object) -> float:
    """Return the distance between axial slices in mm, from "0.7x0.7x8.0" and "LAS"; NaN where they are not known."""
    if not isinstance(spacing_mm, str) or not isinstance(orientation, str) or not set("SI") & set(orientation):
        return np.nan
    return float(spacing_mm.split("x")[next(axis for axis, letter in enumerate(orientation) if letter in "SI")])


def _name_of_volumes(ascending: pd.Series) -> str:
    ends = dict.fromkeys(rounded(volume) for volume in (ascending.iloc[0], ascending.iloc[-1]))
    return f"{'–'.join(ends)} ml"


def _name_of_spacing(spacing: float) -> str:
    return next((name for bound, name in _SPACINGS.items() if spacing <= bound), "unknown")


def _members(group_of: pd.Series, order: list[str]) -> dict[str, list[str]]:
    members = {group: sorted(group_of.index[group_of == group]) for group in order}
    return {group: studies for group, studies in members.items() if studies}
