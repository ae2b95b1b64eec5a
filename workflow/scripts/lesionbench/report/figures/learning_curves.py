"""Learning curves: losses and validation Dice of each training over its epochs."""

from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lesionbench.report.style import BLUE, COLUMN, GREEN, INK, PAGE, VERMILLION, fold_labels, new_figure

_CURVES = {
    "train_loss": (BLUE, "Training loss", "the configured loss, mean over batches"),
    "validation_loss": (VERMILLION, "Validation loss", "1 − soft Dice, mean over studies"),
    "validation_dice": (GREEN, "Validation Dice", "mean over studies"),
}
_JUDGES = {"loss": "validation_loss", "dice": "validation_dice"}


def learning_curves(histories: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw training loss, validation loss and validation Dice over epochs, a panel each for a model, a line a run.

    `histories` has the columns model, fold, seed, epoch, train_loss, validation_loss, validation_dice and
    best_epoch_by, which is loss or dice. The losses have separate panels, because they are not the same measure: the
    training loss is what the configuration names, averaged over batches; the validation loss is always the soft Dice
    loss of a study, averaged over studies. The dot marks each run's best epoch, the one with the lowest validation loss
    or the highest validation Dice: early stopping judges by it, and its weights are kept.
    """
    columns = min(4, len(labels))
    bands = -(-len(labels) // columns)
    figure = new_figure(max(COLUMN, PAGE * columns / 4), 0.6 + 3.9 * bands)
    panels = figure.subplots(3 * bands, columns, sharex=True, sharey="row", squeeze=False)
    stacks = panels.reshape(bands, 3, columns).transpose(0, 2, 1).reshape(-1, 3)
    for axes in stacks[len(labels) :].flat:
        axes.set_axis_off()
    for stack, model, title in zip(stacks, labels, fold_labels(labels.values(), 20, 3), strict=False):
        _draw_runs(stack, histories[histories["model"] == model])
        stack[0].set_title(title)
        stack[0].set_ylim(0, 1.05 * histories["train_loss"].max())
        stack[2].set_xlabel("Epoch")
        stack[2].tick_params(labelbottom=True)
        stack[2].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    for axes, (_, name, _) in zip(panels[:, 0], cycle(_CURVES.values()), strict=False):
        axes.set_ylabel(name)
    handles = [Line2D([], [], color=colour, label=f"{name}: {text}") for colour, name, text in _CURVES.values()]
    measures = " or ".join(_CURVES[_JUDGES[by]][1] for by in histories["best_epoch_by"].drop_duplicates())
    best = f"Best epoch: early stopping judges by the {measures.replace('V', 'v')}"
    handles.append(Line2D([], [], color=INK, marker="o", markersize=3, linestyle="", label=best))
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if columns > 3 else 1)
    return figure


def _best_epoch(run: pd.DataFrame) -> pd.DataFrame:
    """Return the row of a run's best epoch, the first of equals; a Dice that is not defined is no good one."""
    by_dice = run["best_epoch_by"].iloc[0] == "dice"
    cost = -run["validation_dice"].fillna(-1) if by_dice else run["validation_loss"]
    best = cost.to_numpy().argmin()
    return run.iloc[best : best + 1]


def _draw_runs(stack: Iterable[Axes], history: pd.DataFrame) -> None:
    best = pd.concat([_best_epoch(run) for _, run in history.groupby(["fold", "seed"])])
    # A single epoch is no line.
    look: dict[str, Any] = {"linewidth": 1.2 if len(best) == 1 else 0.7, "clip_on": False}
    look["marker"] = "_" if history["epoch"].max() == 1 else ""
    for axes, (column, (colour, *_)) in zip(stack, _CURVES.items(), strict=True):
        runs = history.pivot(index="epoch", columns=["fold", "seed"], values=column)
        axes.plot(runs.index, runs, color=colour, **look)
        if column != "train_loss":
            axes.set_ylim(0, 1)
            axes.plot(best["epoch"], best[column], "o", color=INK, markersize=3, zorder=3, clip_on=False)
