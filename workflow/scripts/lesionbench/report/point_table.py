"""The operating points that were chosen, and the curves that they were chosen by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesionbench.errors import UserError
from lesionbench.report.tables import Table, format_number
from lesionbench.segmentation.operating_point import read_choice

KEYS = ("threshold", "min_component_mm3")
_NOTE = (
    "Dice: mean over the validation studies with lesion, at what was chosen; at 0.5: with every component kept. The "
    "Dice of what was chosen is too good, as the best of many; the test studies, which took no part, tell its worth."
)


def read_choices(paths: Sequence[str | Path], runs: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return a row for each point of each curve: model, fold, seed, studies, key, value, dice, chosen.

    `runs` holds a (model, fold, seed) for each operating_point.json. key: what varies, one of KEYS; of a key that was
    given there is one row, without Dice. Raises UserError, naming the file, where one is damaged.
    """
    frames = []
    for path, (model, fold, seed) in zip(paths, runs, strict=True):
        record = read_choice(path)
        for key in KEYS:
            chosen = record[key]
            curve = record.get(f"by_{key}", {key: [chosen], "dice": [None]})
            if len(curve[key]) != len(curve["dice"]) or chosen not in curve[key]:
                raise UserError(
                    f"{path}: its curve by_{key} does not fit what was chosen. Delete it and run the workflow again."
                )
            frame = pd.DataFrame({"value": curve[key], "dice": curve["dice"]}, dtype=float)
            frame["chosen"] = frame["value"] == chosen
            rest = {"model": model, "fold": fold, "seed": seed, "studies": len(record["studies"]), "key": key}
            frames.append(frame.assign(**rest))
    return pd.concat(frames, ignore_index=True)[["model", "fold", "seed", "studies", "key", "value", "dice", "chosen"]]


def point_table(choices: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return the table of what was chosen, a row a run; `choices` are those of `read_choices`."""
    rows = []
    for (model, fold, seed), run in choices.groupby(["model", "fold", "seed"], sort=False):
        chosen = run[run["chosen"]].set_index("key")
        half = run.loc[(run["key"] == "threshold") & (run["value"] == 0.5), "dice"]
        rows.append(
            {"model": model, "label": labels[str(model)], "fold": fold, "seed": seed}
            | {key: chosen.loc[key, "value"] for key in KEYS}
            | {"dice": chosen["dice"].dropna().iloc[-1], "dice_at_half": half.squeeze() if len(half) else float("nan")}
            | {"studies": chosen["studies"].iloc[0]}
        )
    data = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "Model": data["label"],
            "Fold": data["fold"].map(str),
            "Seed": data["seed"].map(str),
            "Threshold": data["threshold"].map(format_number),
            "Smallest component (mm³)": [format_number(size, 0) for size in data["min_component_mm3"]],
            "Dice": data["dice"].map(format_number),
            "Dice at 0.5": data["dice_at_half"].map(format_number),
            "Studies": data["studies"].map(str),
        }
    )
    return Table("Operating points", data, shown, (_NOTE,))
