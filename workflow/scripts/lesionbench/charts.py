"""The charts: classes of the data set, learning curves, and scores of the models."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lesionbench.figures import (
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PAGE,
    PALE,
    PURPLE,
    VERMILLION,
    hide_axes,
    new_figure,
)
from lesionbench.scores import READINGS
from lesionbench.tables import format_number

_CLASS_COLOURS = ["#DCE9F2", "#A6CBE3", "#5BA3CF", "#1F77B4", "#08306B"]  # light to dark as involvement grows
_MOST_PAIRS = 28


def class_pie(classes: pd.DataFrame) -> Figure:
    """Draw the share of each category (columns category, studies), labelled with count and percentage: Figure 3.1."""
    figure = new_figure(COLUMN, 2.4)
    axes = figure.add_subplot()
    present = classes[classes["studies"] > 0]
    total = present["studies"].sum()
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
    axes.set_xlabel(f"n = {total:,} studies")
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
        lower.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
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
        upper.plot(run["epoch"], run["train_loss"], color=BLUE, linestyle="--", linewidth=width)
        upper.plot(run["epoch"], run["validation_loss"], color=VERMILLION, linewidth=width)
        lower.plot(run["epoch"], run["validation_dice"], color=GREEN, linewidth=width)
        best = run.iloc[run["validation_loss"].argmin()]
        for axes, column in ((upper, "validation_loss"), (lower, "validation_dice")):
            axes.plot(best["epoch"], best[column], "o", color=INK, markersize=3, zorder=3)


def dice_by_model(comparison: pd.DataFrame, dice: pd.DataFrame) -> Figure:
    """Draw the Dice of every study by every model, a thin line a study, with mean and interval of each model.

    `comparison` is the comparison table's data, `dice` has a row a study and a column a model. An upright bar
    marks the paper's mean where the table has one.
    """
    rows = np.arange(len(comparison))
    figure = new_figure(PAGE * 0.75, 0.9 + 0.55 * len(rows))
    axes = figure.add_subplot()
    scores = dice[comparison["model"]].to_numpy()
    axes.plot(scores.T, rows, color=GREY, linewidth=0.5, alpha=0.6, zorder=1)
    axes.plot(scores.T, rows, "o", color=GREY, markersize=2.5, alpha=0.8, zorder=2)
    axes.plot([], [], "o-", color=GREY, linewidth=0.5, markersize=2.5, label=f"a study (n = {len(dice)})")
    means = comparison["mean_dice"]
    spans = np.abs(comparison[["mean_low", "mean_high"]].to_numpy() - means.to_numpy()[:, None]).T
    label = "mean, 95 % interval" if np.isfinite(spans).any() else "mean"
    below = rows + 0.22
    axes.errorbar(means, below, xerr=spans, fmt="s", color=BLUE, markersize=5, capsize=3, label=label)
    if comparison["paper_mean_dice"].notna().any():
        tick: dict[str, Any] = {"markersize": 13, "markeredgewidth": 1.8, "zorder": 5, "linestyle": ""}
        axes.plot(comparison["paper_mean_dice"], below, "|", color=VERMILLION, label="mean in the paper", **tick)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel="Dice per study")
    axes.set_yticks(rows, comparison["label"])
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def pairwise_differences(pairs: pd.DataFrame) -> Figure:
    """Draw the mean difference in Dice of each pair of models with its interval: a forest plot.

    `pairs` is the pairwise table's data. Of more than 28 pairs only those with the model of the highest mean are drawn.
    """
    if len(pairs) > _MOST_PAIRS:
        gains = pd.concat([pairs.set_index("first")["difference"], -pairs.set_index("second")["difference"]])
        leader = gains.groupby(level=0).mean().idxmax()
        pairs = pairs[(pairs["first"] == leader) | (pairs["second"] == leader)]
    rows = np.arange(len(pairs))
    figure = new_figure(PAGE, 1.0 + 0.26 * len(rows))
    axes = figure.add_subplot()
    if not len(rows):
        axes.text(0.5, 0.5, "One model: there is nothing to compare.", ha="center", va="center")
        hide_axes(axes)
        return figure
    axes.axvline(0, color=INK, linewidth=0.8)
    for row, pair in enumerate(pairs.to_dict("records")):
        colour, mark = (BLUE, "s") if pair["different"] else (GREY, "o")
        axes.plot([pair["low"], pair["high"]], [row, row], color=colour, linewidth=1.5)
        axes.plot(pair["difference"], row, mark, color=colour, markersize=5)
        counts = f"{pair['wins']}/{pair['ties']}/{pair['losses']}"
        _write_beside(axes, row, format_number(pair["difference"], signed=True), counts)
    _write_beside(axes, -0.9, "mean", "wins/ties/losses")
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel="Difference in mean Dice, 95 % interval")
    axes.set_yticks(rows, pairs["first_label"] + " − " + pairs["second_label"])
    axes.grid(axis="y", visible=False)
    axes.plot([], [], "s-", color=BLUE, markersize=5, label="told apart (Holm)")
    axes.plot([], [], "o-", color=GREY, markersize=5, label="not told apart")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _write_beside(axes: Axes, row: float, *columns: str) -> None:
    for number, text in enumerate(columns):
        place: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "xytext": (34 * number + 6, 0),
            "textcoords": "offset points",
        }
        axes.annotate(text, (1, row), va="center", fontsize=7, annotation_clip=False, **place)


def dice_readings(readings: pd.DataFrame) -> Figure:
    """Draw each model's mean Dice under each reading of the term; `readings` is that table's data."""
    rows = np.arange(len(READINGS))
    figure = new_figure(PAGE * 0.75, 1.3 + 0.4 * len(readings))
    axes = figure.add_subplot()
    shifts = np.linspace(-0.32, 0.32, len(readings)) if len(readings) > 1 else [0]
    marks = _marks(len(readings))
    for shift, (colour, mark), model in zip(shifts, marks, readings.to_dict("records"), strict=True):
        means = [model[reading] for reading in READINGS]
        axes.plot(means, rows + shift, mark, color=colour, markersize=5, linestyle="", label=model["label"])
    axes.hlines(rows[:-1] + 0.5, 0, 1, color=PALE, linewidth=0.5)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel="Mean Dice of the same predictions")
    axes.set_yticks(rows, [text[0].upper() + text[1:] for text in READINGS.values()])
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _marks(count: int) -> Sequence[tuple[str, str]]:
    colours, shapes = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, INK), "osD^vPX"
    return [(colours[number % len(colours)], shapes[number % len(shapes)]) for number in range(count)]
