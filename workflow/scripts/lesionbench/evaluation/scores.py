"""The scores of many runs as frames that tables, statistics and figures are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesionbench.data.frames import read_frame
from lesionbench.errors import UserError

READINGS = {
    "study": "per study",
    "lesion_slices": "per slice with lesion",
    "empty_as_one": "all slices, empty = 1",
    "empty_as_zero": "all slices, empty = 0",
    "pooled": "all voxels pooled",
}


def collect_scores(paths: Sequence[str | Path], runs: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return the rows of the metrics files at `paths`, headed by the columns model, fold and seed.

    `runs` holds a (model, fold, seed) for each path, in the same order.
    """
    frames = []
    for path, (model, fold, seed) in zip(paths, runs, strict=True):
        frame = read_frame(path)
        if known := {"model", "fold", "seed"} & {*frame}:
            raise UserError(f"{path}: no scores have a column {min(known)}. Delete it and run the workflow again.")
        frame.insert(0, "model", model)
        frame.insert(1, "fold", fold)
        frame.insert(2, "seed", seed)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def scores_by_study(scores: pd.DataFrame, models: Sequence[str], metric: str = "dice") -> pd.DataFrame:
    """Return `metric` averaged over seeds, a row a study and a column a model, in the order of `models`.

    NaN stands where the metric is undefined in any seed: a mean over the others would be one of other things. The Dice
    of a study without lesion is undefined, whatever is predicted.
    """
    values = scores[metric].mask(~has_lesion(scores)) if metric == "dice" else scores[metric]
    table = scores[["study", "model"]].assign(value=values, undefined=values.isna())
    groups = table.groupby(["study", "model"])
    means = groups["value"].mean().mask(groups["undefined"].any())
    return means.unstack("model").reindex(columns=list(models)).rename_axis(columns=None)


def has_lesion(scores: pd.DataFrame) -> pd.Series:
    """Return which rows are of studies with lesion in the reference."""
    return scores["reference_ml"] > 0


def compared_studies(dice: pd.DataFrame) -> list[str]:
    """Return the studies that means, intervals, tests, ranks and words stand on: those with a Dice of every model."""
    return list(dice.dropna().index)


def dice_by_training(
    scores: pd.DataFrame, models: Sequence[str], studies: Sequence[str], patients: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Return the Dice of each model, an array (trainings, patients): a row a seed, a patient's studies averaged.

    patients: the patient of each of `studies`. Patients are in the same order for all models.
    """
    kept = scores[scores["study"].isin(studies)]
    groups = kept.groupby(["model", "seed", kept["study"].map(patients).rename("patient")])
    wide = groups["dice"].mean().unstack("patient")
    return {model: wide.loc[model].to_numpy() if len(studies) else np.empty((1, 0)) for model in models}


def dice_readings(slices: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Return the mean Dice of each model (row) under each of READINGS (column), averaged over seeds.

    `slices` has the columns model, seed, study, reference_voxels, predicted_voxels and dice; a slice is empty where
    neither reference nor prediction holds lesion. The same predictions are read as the mean over studies of the Dice
    of the volume, over slices whose reference holds lesion, over all slices with an empty one counted as 1 or as 0,
    and as one Dice of all voxels of all studies.
    """
    slices = slices.assign(voxels=slices["reference_voxels"] + slices["predicted_voxels"])
    slices["twice_common"] = (slices["dice"] * slices["voxels"]).fillna(0)
    rows = [[model, *_read_as(run)] for (model, _), run in slices.groupby(["model", "seed"])]
    return pd.DataFrame(rows, columns=["model", *READINGS]).groupby("model").mean().reindex(list(models))


def _read_as(run: pd.DataFrame) -> list[float]:
    studies = run.groupby("study")[["twice_common", "voxels"]].sum()
    return [
        (studies["twice_common"] / studies["voxels"]).mean(),
        run.loc[run["reference_voxels"] > 0, "dice"].mean(),
        run["dice"].fillna(1).mean(),
        run["dice"].fillna(0).mean(),
        run["twice_common"].sum() / run["voxels"].sum() if run["voxels"].sum() else float("nan"),
    ]
