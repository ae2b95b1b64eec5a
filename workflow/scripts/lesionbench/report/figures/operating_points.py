"""How operating points were chosen: the validation Dice of each run by threshold and by smallest component."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesionbench.report.point_table import KEYS
from lesionbench.report.style import BLUE, COLUMN, INK, PAGE, fold_labels, new_figure

_NAMES = dict(zip(KEYS, ("Threshold", "Smallest component (mm³)"), strict=True))


def operating_points(points: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw the mean Dice of the validation studies by threshold, and below by smallest component, a column a model.

    `points` are those of `point_table.read_choices`. A line is a run, its dot what was chosen.
    """
    curves = points.dropna(subset="dice")
    keys = [key for key in KEYS if (curves["key"] == key).any()]
    columns = min(4, len(labels))
    bands = -(-len(labels) // columns)
    figure = new_figure(max(COLUMN, PAGE * columns / 4), 0.3 + (0.3 + 1.5 * len(keys)) * bands)
    panels = figure.subplots(len(keys) * bands, columns, sharey=True, squeeze=False)
    stacks = panels.reshape(bands, len(keys), columns).transpose(0, 2, 1).reshape(-1, len(keys))
    for axes in stacks[len(labels) :].flat:
        axes.set_axis_off()
    for stack, model, title in zip(stacks, labels, fold_labels(labels.values(), 20, 3), strict=False):
        stack[0].set_title(title)
        for axes, key in zip(stack, keys, strict=True):
            _draw(axes, key, curves[(curves["model"] == model) & (curves["key"] == key)])
    for axes in panels[:, 0]:
        axes.set_ylabel("Validation Dice")
    return figure


def _draw(axes: Axes, key: str, curves: pd.DataFrame) -> None:
    if curves.empty:
        axes.set_axis_off()
    runs = curves.groupby(["fold", "seed"])
    look: dict[str, Any] = {"color": BLUE, "linewidth": 1.2 if len(runs) == 1 else 0.7, "clip_on": False}
    for _, run in runs:
        axes.plot(run["value"], run["dice"], **look)
    chosen = curves[curves["chosen"]]
    axes.plot(chosen["value"], chosen["dice"], "o", color=INK, markersize=3, zorder=3, clip_on=False)
    axes.set(xlabel=_NAMES[key], ylim=(0, 1))
    if key == "threshold":
        axes.set(xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75, 1], xticklabels=["0", "", "0.5", "", "1"])
    else:
        axes.set_xscale("symlog", linthresh=1)
        axes.set(xlim=(0, curves["value"].max() if len(curves) else 1), xticks=[0, 1, 100, 10_000])
        axes.set_xticklabels(["0", "1", "100", "10⁴"])
        axes.minorticks_off()
