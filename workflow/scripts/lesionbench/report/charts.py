"""Charts of the data and of the trainings: classes, learning curves."""

import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lesionbench.report.style import BLUE, COLUMN, GREEN, GREY, INK, PAGE, PALE, VERMILLION, new_figure
from lesionbench.words import counted

# Light to dark as involvement grows, and grey for a study of unknown category.
_CLASS_COLOURS = ["#DCE9F2", "#A6CBE3", "#5BA3CF", "#1F77B4", "#08306B", PALE]


def class_pie(classes: pd.DataFrame) -> Figure:
    """Draw the share of each category (columns category, studies), labelled with count and percentage: Figure 3.1."""
    figure = new_figure(COLUMN, 2.4)
    axes = figure.add_subplot()
    present = classes[classes["studies"] > 0]
    total = int(present["studies"].sum())
    colours = dict(zip(classes["category"], _CLASS_COLOURS, strict=False))
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


def _spread(angles: np.ndarray, gap: float = 0.42) -> np.ndarray:
    """Return a height for the label of each wedge, near the wedge and at least `gap` from the next on the same side."""
    heights = 1.15 * np.sin(angles)
    for side in (np.cos(angles) > 0, np.cos(angles) <= 0):
        members = np.flatnonzero(side)[np.argsort(-heights[side])]
        for upper, lower in pairwise(members):
            heights[lower] = min(heights[lower], heights[upper] - gap)
    return heights


def learning_curves(histories: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw loss and validation Dice over epochs, two panels a model on common axes, a thin line a run.

    `histories` has the columns model, fold, seed, epoch, train_loss, validation_loss and validation_dice. The dot marks
    each run's best epoch, the one with the lowest validation loss, whose weights are kept.
    """
    columns = min(4, len(labels))
    bands = -(-len(labels) // columns)
    figure = new_figure(max(COLUMN, PAGE * columns / 4), 0.4 + 2.9 * bands)
    panels = figure.subplots(2 * bands, columns, sharex=True, sharey="row", squeeze=False)
    losses = histories[["train_loss", "validation_loss"]].to_numpy()
    for position, (upper, lower) in enumerate(panels.reshape(bands, 2, columns).transpose(0, 2, 1).reshape(-1, 2)):
        if position >= len(labels):
            upper.set_axis_off()
            lower.set_axis_off()
            continue
        model, label = list(labels.items())[position]
        _draw_runs(upper, lower, histories[histories["model"] == model])
        upper.set_title(textwrap.fill(label, 20))
        upper.set_ylim(min(0, np.nanmin(losses)), 1.05 * np.nanmax(losses))
        lower.set(ylim=(0, 1), xlabel="Epoch")
        lower.tick_params(labelbottom=True)
        lower.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
        if position % columns == 0:
            upper.set_ylabel("Loss")
            lower.set_ylabel("Validation Dice")
    handles = [
        Line2D([], [], color=BLUE, linestyle="--", label="training loss"),
        Line2D([], [], color=VERMILLION, label="validation loss"),
        Line2D([], [], color=GREEN, label="validation Dice"),
        Line2D([], [], color=INK, marker="o", markersize=3, linestyle="", label="best epoch"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if columns > 2 else 2)
    return figure


def _draw_runs(upper: Axes, lower: Axes, histories: pd.DataFrame) -> None:
    runs = histories.groupby(["fold", "seed"])
    width = 1.2 if runs.ngroups == 1 else 0.7
    for _, run in runs:
        # A single epoch is no line.
        look: dict[str, Any] = {"linewidth": width, "marker": "_" if len(run) == 1 else "", "clip_on": False}
        upper.plot(run["epoch"], run["train_loss"], color=BLUE, linestyle="--", **look)
        upper.plot(run["epoch"], run["validation_loss"], color=VERMILLION, **look)
        lower.plot(run["epoch"], run["validation_dice"], color=GREEN, **look)
        best = run.iloc[run["validation_loss"].argmin()]
        for axes, column in ((upper, "validation_loss"), (lower, "validation_dice")):
            axes.plot(best["epoch"], best[column], "o", color=INK, markersize=3, zorder=3, clip_on=False)
