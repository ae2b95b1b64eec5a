"""The share of the lungs involved in studies of each class."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lesionbench.data.studies import CATEGORIES
from lesionbench.evaluation.severity import BOUNDS
from lesionbench.report.style import BLUE, COLUMN, GREY, INK, PAGE, fold_labels, new_figure

_FEWEST = 5  # studies that a box is drawn of
_GOLDEN = 0.618034  # its multiples fill an interval evenly


def share_by_class(shares: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw the share of each study (dot) and boxes by class, a panel a model; `shares` is the table of all studies."""
    columns = 2 if len(labels) == 4 else min(3, len(labels))
    rows = -(-len(labels) // columns)
    width = max(COLUMN, PAGE * columns / 3)
    figure = new_figure(width, 0.4 + 2.1 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(labels) :]:
        axes.set_axis_off()
    defined = shares[shares["share"].notna()]
    for number, (model, title) in enumerate(zip(labels, fold_labels(labels.values(), 28, 2), strict=True)):
        axes = panels.flat[number]
        _draw_model(axes, defined[defined["model"] == model])
        axes.set_title(title)
        if number + columns >= len(labels):
            axes.tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        axes.set_ylabel("Share of the lungs involved")
    return figure


def _draw_model(axes: Axes, own: pd.DataFrame) -> None:
    by_class = [own.loc[own["category"] == category, "share"].to_numpy() for category in CATEGORIES]
    axes.hlines(BOUNDS, -0.5, len(CATEGORIES) - 0.5, color=GREY, linestyle="--", linewidth=0.8, zorder=1)
    for place, values in enumerate(by_class):
        across = place + 0.6 * ((np.arange(len(values)) * _GOLDEN) % 1 - 0.5)
        axes.plot(across, values, "o", color=BLUE, markersize=2, alpha=0.35, markeredgewidth=0, clip_on=False, zorder=2)
    line = {"color": INK, "linewidth": 0.8}
    axes.boxplot(
        [values if len(values) >= _FEWEST else [] for values in by_class],
        positions=range(len(CATEGORIES)),
        widths=0.6,
        showfliers=False,
        boxprops=line,
        whiskerprops=line,
        capprops=line,
        medianprops={"color": INK, "linewidth": 1.6},
        zorder=3,
    )
    axes.set_xticks(
        range(len(CATEGORIES)),
        [f"{category}\n{len(values):,}" for category, values in zip(CATEGORIES, by_class, strict=True)],
    )
    axes.set(xlim=(-0.5, len(CATEGORIES) - 0.5), ylim=(0, 1), yticks=[0, *BOUNDS, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.grid(visible=False)
