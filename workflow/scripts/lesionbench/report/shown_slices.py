"""Which slices the figures show: chosen by rule from the scores, not by hand, or listed in the configuration."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from lesionbench.errors import UserError

KINDS = ("found", "partly found", "barely found", "missed", "false positive", "empty")


class Pick(NamedTuple):
    """A slice to show: study, index of the slice, and what the models make of it (one of KINDS)."""

    study: str
    slice: int
    kind: str = ""


def middle_study(volumes: Mapping[str, float]) -> str:
    """Return the study of median lesion volume among those with lesion; the larger of two in the middle."""
    ordered = sorted((volume, study) for study, volume in volumes.items())
    with_lesion = [study for volume, study in ordered if volume > 0] or [study for _, study in ordered]
    return with_lesion[len(with_lesion) // 2]


def study_dice(slices: pd.DataFrame) -> dict[str, float]:
    """Return the Dice of each study's volume from one model's scores a slice; NaN where the reference is empty."""
    voxels = slices["reference_voxels"] + slices["predicted_voxels"]
    sums = slices.assign(both=(slices["dice"] * voxels).fillna(0), voxels=voxels).groupby("study")
    totals = sums[["both", "voxels", "reference_voxels"]].sum()
    dice = (totals["both"] / totals["voxels"]).where(totals["reference_voxels"] > 0)
    return {str(study): float(score) for study, score in dice.items()}


def ranked_studies(dice: Mapping[str, float]) -> dict[str, str]:
    """Return the study of worst, median and best Dice by its rank in words, each study once.

    Of two in the middle the worse is the median; studies without a Dice come only where none has one.
    """
    ordered = sorted((score, study) for study, score in dice.items() if not math.isnan(score))
    names = [study for _, study in ordered] or sorted(dice)[:1]
    if len(names) == 1:
        return {"only": names[0]}
    middle = {"median": names[(len(names) - 1) // 2]} if len(names) > 2 else {}
    return {"worst": names[0], **middle, "best": names[-1]}


def median_dice(slices: Sequence[pd.DataFrame]) -> dict[str, float]:
    """Return the median over models of each study's Dice, from each model's scores a slice; NaN without lesion."""
    medians = pd.DataFrame([study_dice(scores) for scores in slices]).median()
    return {str(study): float(score) for study, score in medians.items()}


def viewed_study(dice: Mapping[str, float], rank: str, ranks: Sequence[str]) -> tuple[str, str]:
    """Return the study that stands for one of `ranks`, and what it is in words: its rank, or "" without one.

    Where too few studies have a lesion for all ranks (`ranked_studies`), others stand in, in the order of their names.
    """
    ranked = ranked_studies(dice)
    taken = {ranked.get(name) for name in ranks}
    others = iter([study for study in dict.fromkeys([*ranked.values(), *sorted(dice)]) if study not in taken])
    chosen = {name: ranked.get(name) or next(others) for name in ranks}[rank]
    has_dice = not math.isnan(dice[chosen])
    return chosen, next((name for name, study in ranked.items() if study == chosen and has_dice), "")


def lesion_run(voxels: Sequence[int], count: int, step: int = 1) -> list[int]:
    """Return `count` slice indices `step` apart that hold most lesion together, the first of several such runs.

    `voxels` are the lesion voxels of each slice of one study. The step, then the count, shrinks where it has too few.
    """
    step = max(1, min(step, len(voxels) // count))
    starts = range(max(1, len(voxels) - step * (count - 1)))
    start = max(starts, key=lambda first: sum(voxels[first : first + step * count : step]))
    return list(range(len(voxels)))[start : start + step * count : step]


def varied_slices(slices: pd.DataFrame, count: int = 14) -> list[Pick]:
    """Choose slices that cover what the models get right and wrong, ordered by study and index.

    `slices` has a row for each model and slice: model, study, slice, reference_voxels, predicted_voxels, dice. Kinds
    alternate, an empty slice comes once; within a kind the study shown least so far comes first, then the slice with
    most lesion or most false positive voxels. Slices nearer than a twentieth of their study are not shown together.
    """
    candidates = _classify(slices).sort_values(["size", "study", "slice"], ascending=[False, True, True])
    gaps = candidates.groupby("study").size() // 20
    picks: list[Pick] = []
    kinds = list(KINDS)
    while kinds and len(picks) < count:
        kind = kinds[len(picks) % len(kinds)]
        rest = candidates[candidates["kind"] == kind]
        if rest.empty:
            kinds.remove(kind)
            continue
        shown = Counter(pick.study for pick in picks)
        best = rest.iloc[rest["study"].map(shown).argmin()]
        study, number = str(best["study"]), int(best["slice"])
        picks.append(Pick(study, number, kind))
        near = (candidates["study"] == study) & ((candidates["slice"] - number).abs() <= gaps[study])
        candidates = candidates[~near]
        if kind == "empty":
            kinds.remove(kind)
    return sorted(picks)


def listed_slices(wanted: Sequence[Mapping[str, Any]], slices: pd.DataFrame) -> list[Pick]:
    """Return the picks for a list of {study, slice}. Raises UserError where one is not among the test slices."""
    kinds = _classify(slices).set_index(["study", "slice"])["kind"]
    for entry in wanted:
        study, number = entry["study"], entry["slice"]
        if study not in kinds.index.get_level_values("study"):
            known = ", ".join(kinds.index.get_level_values("study").unique())
            raise UserError(f"figures.slices: {study} is not a test study of the first fold. Choose from {known}.")
        if (study, number) not in kinds.index:
            raise _no_slice(study, number, kinds[study].index.max())
    return [Pick(entry["study"], entry["slice"], kinds[entry["study"], entry["slice"]]) for entry in wanted]


def check_listed(wanted: str | Sequence[Mapping[str, Any]], studies: pd.DataFrame, plane: str) -> None:
    """Raise UserError where `figures.slices` lists a slice that a study of the inventory does not have.

    The inventory is there before the trainings, whose predictions the figures show.
    """
    counts = studies.set_index("study")[f"{plane}_slices"]
    for entry in [] if isinstance(wanted, str) else wanted:
        if entry["slice"] >= counts[entry["study"]]:
            raise _no_slice(entry["study"], entry["slice"], int(counts[entry["study"]]) - 1)


def _no_slice(study: str, number: int, last: int) -> UserError:
    return UserError(f"figures.slices: {study} has no slice {number}. Choose from 0 to {last}.")


def _classify(slices: pd.DataFrame) -> pd.DataFrame:
    """Return study, slice, kind and size (voxels of the reference, else of the false positives) of each slice.

    A lesion slice is found where the models' mean Dice is at least 0.7, barely found where it is below 0.1, and missed
    only where no model marks a voxel of the reference.
    """
    table = slices.groupby(["study", "slice"], as_index=False).agg(
        reference=("reference_voxels", "max"),
        predicted=("predicted_voxels", "max"),
        dice=("dice", "mean"),
        best=("dice", "max"),
    )
    table["kind"] = "partly found"
    table.loc[table["dice"] >= 0.7, "kind"] = "found"
    table.loc[table["dice"] < 0.1, "kind"] = "barely found"
    table.loc[table["best"] == 0, "kind"] = "missed"
    table.loc[(table["reference"] == 0) & (table["predicted"] > 0), "kind"] = "false positive"
    table.loc[(table["reference"] == 0) & (table["predicted"] == 0), "kind"] = "empty"
    # Of the empty slices, those in the middle of the body come first, not air above the shoulders.
    middle = table.groupby("study")["slice"].transform("median")
    table["size"] = table[["reference", "predicted"]].max(axis=1).where(table["reference"] == 0, table["reference"])
    table["size"] = table["size"].where(table["kind"] != "empty", -(table["slice"] - middle).abs())
    return table
