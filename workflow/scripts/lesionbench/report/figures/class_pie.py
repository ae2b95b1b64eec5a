"""The classes of a data set."""

from itertools import cycle, pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lesionbench.report.style import COLUMN, GREY, PALE, new_figure
from lesionbench.words import counted

# Light to dark as involvement grows; a study of unknown category is grey.
_CLASS_COLOURS = ["#DCE9F2", "#A6CBE3", "#5BA3CF", "#1F77B4", "#08306B"]
_LABEL_GAP = 0.42  # in radii of the pie


def class_pie(classes: pd.DataFrame) -> Figure:
    """Draw the share of each category (columns category, studies), labelled with count and percentage: Figure 3.1."""
    figure = new_figure(COLUMN, 2.4)
    axes = figure.add_subplot()
    present = classes[classes["studies"] > 0]
    total = int(present["studies"].sum())
    colours = dict(zip(classes["category"], cycle(_CLASS_COLOURS), strict=False)) | {"unknown": PALE}
    wedges, *_ = axes.pie(
        present["studies"],
        colors=[colours[category] for category in present["category"]],
        startangle=90,
        counterclock=False,
        wedgeprops={"edgecolor": "white", "linewidth": 0.8},
    )
    line: dict[str, Any] = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 2, "shrinkB": 0}
    angles = np.radians([(wedge.theta1 + wedge.theta2) / 2 for wedge in wedges])
    shares = zip(present["category"], present["studies"], strict=True)
    for x, y, height, (name, count) in zip(np.cos(angles), np.sin(angles), _spread(angles), shares, strict=True):
        axes.annotate(
            f"{name}\n{count:,} ({100 * count / total:.1f} %)",
            xy=(x, y),
            xytext=(1.3 * np.sign(x), height),
            ha="left" if x > 0 else "right",
            va="center",
            fontsize=7,
            arrowprops=line | {"relpos": (0 if x > 0 else 1, 0.5)},
        )
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.2, 1.35))
    axes.set_xlabel(f"n = {counted(total, 'study')}")
    return figure


def _spread(angles: np.ndarray) -> np.ndarray:
    """Return a height for the label of each wedge, near the wedge and clear of the next on the same side."""
    heights: np.ndarray = 1.15 * np.sin(angles)
    for side in (np.cos(angles) > 0, np.cos(angles) <= 0):
        members = np.flatnonzero(side)[np.argsort(-heights[side])]
        for upper, lower in pairwise(members):
            heights[lower] = min(heights[lower], heights[upper] - _LABEL_GAP)
    return heights
