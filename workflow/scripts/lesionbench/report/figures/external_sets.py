"""The mean Dice of each model on the data set and on the external sets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lesionbench.report.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PAGE,
    PURPLE,
    SKY,
    VERMILLION,
    fold_label,
    fold_labels,
    most_lines,
    new_figure,
)

_COLOURS = (INK, BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
_MARKS = "osD^vP*"


def external_sets(transfer: pd.DataFrame) -> Figure:
    """Draw the mean Dice with its interval of each model (row) on each set (colour and mark), of `compare_sets`."""
    labels = list(dict.fromkeys(transfer["label"]))
    sets = list(dict.fromkeys(transfer["set"]))
    folded = fold_labels(labels, 30, 2)
    figure = new_figure(PAGE * 0.85, 1.0 + max(0.16 + 0.14 * len(sets), 0.13 * most_lines(folded)) * len(labels))
    axes = figure.add_subplot()
    for number, name in enumerate(sets):
        rows = transfer[transfer["set"] == name]
        places = np.array([labels.index(label) for label in rows["label"]]) + _offset(number, sets)
        colour, mark = _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)]
        text = f"{fold_label(name, 40, 1)} ({rows['studies'].iloc[0]})"
        axes.hlines(places, rows["low"], rows["high"], color=colour, linewidth=1.6)
        axes.plot(rows["mean_dice"], places, linestyle="", color=colour, marker=mark, markersize=5, label=text)
    axes.set(ylim=(len(labels) - 0.5, -0.5), xlabel="Mean Dice, 95 % interval")
    axes.set_yticks(range(len(labels)), folded)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=min(3, len(sets)), title="Set (studies)", title_fontsize=7)
    return figure


def _offset(number: int, sets: Sequence[str]) -> float:
    """Return where the mark of a set lies within the row of a model."""
    return 0.0 if len(sets) == 1 else (number / (len(sets) - 1) - 0.5) * 0.6
