"""The scores of many runs as frames that tables, statistics and figures are made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesionbench.data.frames import read_frame

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
        frame.insert(0, "model", model)
        frame.insert(1, "fold", fold)
        frame.insert(2, "seed", seed)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def scores_by_study(scores: pd.DataFrame, models: Sequence[str], metric: str = "dice") -> pd.DataFrame:
    """Return `metric` averaged over seeds, a row a study and a column a model, in the order of `models`.

    Seeds in which the metric is undefined are left out of a study's mean; NaN stands where all of them are.
    """
    wide = scores.pivot_table(index="study", columns="model", values=metric, aggfunc="mean", dropna=False)
    return wide.reindex(columns=list(models)).rename_axis(columns=None)


def spread_over_seeds(scores: pd.DataFrame, models: Sequence[str]) -> pd.Series:
    """Return the standard deviation, over seeds, of each model's mean Dice over studies; NaN for a single seed."""
    means = scores.groupby(["model", "seed"])["dice"].mean()
    return means.groupby("model").std().reindex(list(models))


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
