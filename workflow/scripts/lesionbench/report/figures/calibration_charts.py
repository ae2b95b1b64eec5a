"""Curves of what the probabilities of lesion are worth: a panel a model, with the others in grey."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesionbench.report.style import BLUE, COLUMN, GREY, INK, PAGE, PALE, fold_labels, new_figure


def reliability(calibration: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw the share of lesion over the mean probability; `calibration` is that of `calibration_curves`."""
    figure, panels = _panels(calibration, labels, "reliability", "Probability", "Share of lesion", mark="o")
    for axes in panels:
        axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=0.8, zorder=1)
    return figure


def precision_recall(calibration: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw the mean precision over the recall of voxels."""
    return _panels(calibration, labels, "precision_recall", "Recall", "Precision")[0]


def froc(calibration: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw the share of lesions that are found over false lesions a study, on a scale that is even from 1 on."""
    figure, panels = _panels(calibration, labels, "froc", "False lesions a study", "Lesions found", mark="o")
    most = max(1.0, calibration.loc[calibration["curve"] == "froc", "x"].max())
    for axes in panels:
        axes.set_xscale("symlog", linthresh=1)
        ticks = [0, *(10.0**power for power in range(int(np.log10(most)) + 1))]
        axes.set(xlim=(0, most * 1.1), xticks=ticks)
        axes.set_xticklabels([f"{tick:,.0f}" for tick in ticks])
        axes.minorticks_off()
    return figure


def dice_by_threshold(calibration: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw the mean Dice over the threshold, with a dot at 0.5."""
    figure, panels = _panels(calibration, labels, "dice", "Threshold", "Mean Dice")
    half = calibration[(calibration["curve"] == "dice") & (calibration["x"] == 0.5)].set_index("model")["y"]
    for axes, model in zip(panels, [model for model in labels if model in half], strict=True):
        axes.plot(0.5, half[model], "o", color=INK, markersize=3, zorder=4)
    return figure


def _panels(
    calibration: pd.DataFrame, labels: Mapping[str, str], curve: str, x: str, y: str, mark: str = ""
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a curve of each model in a panel of its own, from 0 to 1, and those panels."""
    points = calibration[calibration["curve"] == curve]
    curves = {str(model): own for model, own in points.groupby("model")}
    labels = {model: label for model, label in labels.items() if model in curves}
    columns = min(4, len(labels))
    rows = -(-len(labels) // columns)
    width = max(COLUMN, PAGE * columns / 4)
    figure = new_figure(width, 0.3 + (0.35 + 0.85 * width / columns) * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(labels) :]:
        axes.set_axis_off()
    panels = list(grid.flat[: len(labels)])
    for number, (axes, model, title) in enumerate(
        zip(panels, labels, fold_labels(labels.values(), 20, 3), strict=True)
    ):
        for other in (curves[other] for other in labels if other != model):
            axes.plot(other["x"], other["y"], color=PALE, linewidth=0.8, zorder=2, clip_on=False)
        own = curves[model]
        axes.plot(own["x"], own["y"], marker=mark, color=BLUE, markersize=2.5, zorder=3, clip_on=False)
        axes.set_title(title)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], xticklabels=["0", "0.5", "1"])
        if number + columns >= len(labels):
            axes.set_xlabel(x)
            axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel(y)
    return figure, panels
