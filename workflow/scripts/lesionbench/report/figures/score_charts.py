"""Charts of the scores: the models beside each other, their differences, ranks, volumes and cost."""

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerErrorbar
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from lesionbench.evaluation.comparison import Comparison
from lesionbench.evaluation.scores import READINGS
from lesionbench.evaluation.statistics import fewest_studies, limits_of_agreement
from lesionbench.report.conclusions import pairs_of, widest_interval
from lesionbench.report.style import (
    BLUE,
    COLUMN,
    GREY,
    INK,
    PAGE,
    PALE,
    VERMILLION,
    fold_labels,
    hide_axes,
    marks,
    most_lines,
    new_figure,
)
from lesionbench.report.tables import format_interval, format_number
from lesionbench.words import rounded

_MOST_LINES = 15  # studies whose lines through all models an eye can follow
_MOST_PAIRS = 28
_PAIR_LOOKS: dict[str, dict[str, Any]] = {
    "differ": {"color": BLUE, "marker": "s", "markersize": 5},
    "alone": {"color": GREY, "marker": "o", "markersize": 5.5, "markerfacecolor": "white"},
    "none": {"color": GREY, "marker": "o", "markersize": 5},
}
_PAIR_LABELS = {
    "differ": "differ (Holm)",
    "none": "no difference shown",
    "alone": "none shown: zero outside, but p (Holm) ≥ 0.05",
}
_AT_THE_FOOT: dict[str, Any] = {"color": VERMILLION, "markersize": 4}


def dice_by_model(comparison: Comparison) -> Figure:
    """Draw the Dice of every study by every model, with mean and interval of each model.

    A thin line joins the dots of a study; for more than 15 studies, a shape behind the dots shows their density
    instead. An upright bar marks the mean in the reference results where they have one.
    """
    models, scores = comparison.models, comparison.dice
    rows = np.arange(len(models))
    figure = new_figure(PAGE * 0.75, 0.9 + 0.55 * len(rows))
    axes = figure.add_subplot()
    joined = len(scores) <= _MOST_LINES
    if not joined:
        shape: dict[str, Any] = {"width": 0.4, "cut": 0, "density_norm": "width", "inner": None, "saturation": 1}
        sns.violinplot(scores, orient="h", color=PALE, linewidth=0, ax=axes, **shape)
    look: dict[str, Any] = {"color": GREY, "linewidth": 0.5 if joined else 0, "markersize": 2.5}
    axes.plot(scores.T, rows, "o-", alpha=0.7, clip_on=False, **look)
    axes.plot([], [], "o-", label=f"a study (n = {len(scores)})", **look)
    means = models["mean_dice"]
    spans = np.abs(models[["mean_low", "mean_high"]].to_numpy() - means.to_numpy()[:, None]).T
    label = "mean, 95 % interval" if np.isfinite(spans).any() else "mean"
    below = rows + 0.3
    axes.errorbar(means, below, xerr=spans, fmt="s", color=BLUE, markersize=5, capsize=3, label=label, clip_on=False)
    if models["paper_mean_dice"].notna().any():
        tick: dict[str, Any] = {"markersize": 13, "markeredgewidth": 1.8, "zorder": 5, "linestyle": ""}
        axes.plot(models["paper_mean_dice"], below, "|", color=VERMILLION, label="mean in the paper", **tick)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel="Dice per study")
    axes.set_yticks(rows, fold_labels(models["label"]))
    axes.grid(axis="y", visible=False)
    whiskers = HandlerErrorbar(xerr_size=1.0)  # in font sizes, so that they show beside the mark
    figure.legend(loc="outside lower center", ncols=3, handler_map={ErrorbarContainer: whiskers})
    return figure


def pairwise_differences(comparison: Comparison) -> Figure:
    """Draw the mean difference in Dice of pairs of models (`_pairs_to_draw`) with its intervals: a forest plot.

    A thick line is the interval of these trained networks, a thin one that of networks trained again.
    """
    pairs = _pairs_to_draw(comparison)
    rows = np.arange(len(pairs))
    folded = dict(zip(comparison.labels.values(), fold_labels(comparison.labels.values(), 40, 1), strict=True))
    names = [
        (folded[one], folded[other]) for one, other in zip(pairs["first_label"], pairs["second_label"], strict=True)
    ]
    lines = max((name.count("\n") + 1 for both in names for name in both), default=1)
    figure = new_figure(PAGE * 0.85, 1.1 + 0.34 * len(rows) * lines)
    axes = figure.add_subplot()
    if not len(rows):
        axes.text(0.5, 0.5, "One model: there is nothing to compare.", ha="center", va="center")
        hide_axes(axes)
        return figure
    axes.axvline(0, color=INK, linewidth=0.8)
    low, high = widest_interval(pairs)
    kinds = np.where(pairs["different"], "differ", np.where((low > 0) | (high < 0), "alone", "none"))
    for row, (pair, kind) in enumerate(zip(pairs.to_dict("records"), kinds, strict=True)):
        look = _PAIR_LOOKS[kind]
        axes.plot([pair["recipe_low"], pair["recipe_high"]], [row, row], color=look["color"], linewidth=0.8)
        axes.plot([pair["low"], pair["high"]], [row, row], color=look["color"], linewidth=2.2)
        axes.plot(pair["difference"], row, **look)
        counts = f"{pair['wins']}/{pair['ties']}/{pair['losses']}"
        _write_beside(axes, row, format_number(pair["difference"], signed=True), counts)
    _write_beside(axes, -0.9, "mean", "wins/ties/losses")
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set(ylim=(len(rows) - 0.4, -1.3), xlabel="Difference in mean Dice, 95 % interval")
    axes.set_yticks(rows, [f"{one}\n− {other}" for one, other in names])
    axes.grid(axis="y", visible=False)
    for kind, label in _PAIR_LABELS.items():
        if kind != "alone" or kind in kinds:
            axes.plot([], [], **_PAIR_LOOKS[kind] | {"linestyle": "-", "linewidth": 2.2}, label=label)
    if pairs["recipe_low"].notna().any():
        axes.plot([], [], "-", color=GREY, linewidth=0.8, label="interval if trained again")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _pairs_to_draw(comparison: Comparison) -> pd.DataFrame:
    """Return the pairs of models; of more than 28 only those with the model of the highest mean."""
    if len(comparison.pairs) <= _MOST_PAIRS:
        return comparison.pairs
    return pairs_of(comparison.pairs, str(comparison.models.set_index("model")["mean_dice"].idxmax()))


def _write_beside(axes: Axes, row: float, *columns: str) -> None:
    for number, text in enumerate(columns):
        place: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "xytext": (34 * number + 6, 0),
            "textcoords": "offset points",
        }
        axes.annotate(text, (1, row), va="center", fontsize=7, annotation_clip=False, **place)


def dice_readings(comparison: Comparison) -> Figure:
    """Draw each model's mean Dice under each reading of the term."""
    readings = comparison.readings
    rows = np.arange(len(readings))
    figure = new_figure(PAGE * 0.75, 1.2 + 0.48 * len(rows))
    axes = figure.add_subplot()
    shifts = np.linspace(-0.25, 0.25, len(READINGS))
    for (reading, name), shift, (colour, mark) in zip(READINGS.items(), shifts, marks(len(READINGS)), strict=True):
        look: dict[str, Any] = {"color": colour, "markersize": 5, "linestyle": "", "clip_on": False}
        axes.plot(readings[reading], rows + shift, mark, label=name, **look)
    axes.hlines(rows[:-1] + 0.5, 0, 1, color=PALE, linewidth=0.5)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel="Mean Dice of the same predictions")
    axes.set_yticks(rows, fold_labels(comparison.labels.values()))
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def rank_stability(comparison: Comparison) -> Figure:
    """Draw how often each model takes each rank, the best mean rank first."""
    ranks, labels = comparison.ranks, comparison.labels
    shares = ranks.loc[(ranks * ranks.columns).sum(axis=1).sort_values(kind="stable").index]
    figure = new_figure(min(PAGE, 2.9 + 0.4 * shares.shape[1]), 0.8 + 0.3 * len(shares))
    axes = figure.add_subplot()
    cells = shares.map(lambda share: format_number(100 * share, 0) if share >= 0.005 else "")
    look: dict[str, Any] = {"cmap": "Blues", "vmin": 0, "vmax": 1, "linewidths": 1, "cbar": False}
    sns.heatmap(shares, annot=cells, fmt="", annot_kws={"fontsize": 7}, ax=axes, **look)
    if shares.isna().any(axis=None):
        text = f"Fewer than {fewest_studies()} studies:\nresampling so few is no evidence."
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=7, transform=axes.transAxes)
    axes.set(xlabel="Rank (% of resamples)", ylabel="")
    axes.set_yticklabels(fold_labels(labels[model] for model in shares.index), rotation=0)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    return figure


def volume_agreement(comparison: Comparison) -> Figure:
    """Draw predicted over reference volume over the geometric mean of both, a dot a study and a panel a model.

    Axes are logarithmic and common, volumes in ml, averaged over seeds. Lines mark the geometric mean of the ratios and
    the limits of agreement, as factors. A study in which nothing is predicted has no ratio: a triangle at the foot
    marks its reference volume.
    Source: Bland and Altman, Stat Methods Med Res 8:135 (1999), doi:10.1177/096228029900800204.
    """
    labels, predicted = comparison.labels, comparison.scores["predicted_ml"]
    reference = comparison.scores["reference_ml"].bfill(axis=1).iloc[:, 0]  # the same for every model
    columns = min(4, len(labels))
    bands = math.ceil(len(labels) / columns)
    figure = new_figure(max(COLUMN, PAGE * columns / 4), 0.3 + 2.2 * bands)
    panels = figure.subplots(bands, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(labels) :]:
        axes.set_axis_off()
    titles = fold_labels(labels.values(), 22, 3)
    for position, (axes, model, title) in enumerate(zip(panels.flat, labels, titles, strict=False)):
        with_ratio = (reference > 0) & (predicted[model] > 0)
        ratios = (predicted[model] / reference)[with_ratio]
        nothing = reference[(reference > 0) & (predicted[model] == 0)]
        axes.axhline(1, color=INK, linewidth=0.6)
        means = np.sqrt((predicted[model] * reference)[with_ratio])
        axes.plot(means, ratios, "o", color=BLUE, markersize=3.5, alpha=0.7)
        mean, low, high = np.exp(limits_of_agreement(np.log(ratios)))
        if math.isfinite(mean):
            title += f"\n× {format_number(mean, 2)}\n({format_interval(low, high, 2)})"
            axes.axhline(mean, color=VERMILLION)
            for limit in (low, high):
                axes.axhline(limit, color=VERMILLION, linestyle="--", linewidth=0.9)
        if len(nothing):
            axes.plot(nothing, [0.04] * len(nothing), "v", **_AT_THE_FOOT, transform=axes.get_xaxis_transform())
            title += f"\nnothing predicted: {len(nothing)}"
        axes.set_title(title, fontsize=7)
        axes.tick_params(labelbottom=position + columns >= len(labels))
    _set_logarithmic(panels[0, 0])
    figure.supxlabel("Geometric mean of reference and predicted volume (ml)", fontsize=8)
    figure.supylabel("Predicted / reference", fontsize=8)
    return figure


def _set_logarithmic(axes: Axes) -> None:
    """Set logarithmic axes: volumes over at least a decade, ratios symmetric about 1, at least from a half to twice."""
    axes.set(xscale="log", yscale="log")
    low, high = axes.get_xlim()
    widen = max(1, math.sqrt(10 * low / high))
    reach = max(2.2, *(max(end, 1 / end) for end in axes.get_ylim()))
    axes.set(xlim=(low / widen, high * widen), ylim=(1 / reach, reach))
    factors = (1.5, 2) if reach < 4 else (2, 5) if reach < 10 else (3, 10) if reach < 50 else (10, 100)
    axes.set_yticks([*(1 / factor for factor in factors[::-1]), 1, *factors])
    axes.yaxis.set_major_formatter(lambda ratio, _: f"{ratio:.3g}" if ratio >= 1 else f"1/{1 / ratio:.3g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(lambda volume, _: rounded(volume))
    axes.xaxis.set_minor_locator(NullLocator())


def dice_by_cost(comparison: Comparison, cost: pd.DataFrame) -> Figure:
    """Draw the mean Dice of each model with its interval over its parameters, and over its arithmetic.

    `cost` is the data of the table of cost; a model without known cost is left out.
    """
    known = cost.dropna(subset=["parameters", "gmacs"])
    both = known.merge(comparison.models, on=["model", "label"], validate="one_to_one")
    folded = fold_labels(both["label"], 40, 1)
    figure = new_figure(PAGE * 0.75, 2.2 + 0.16 * most_lines(folded, 2))
    panels = figure.subplots(1, 2, sharey=True)
    measures = {"Parameters (million)": both["parameters"] / 1e6, "GMACs a slice": both["gmacs"]}
    for axes, (name, values) in zip(panels, measures.items(), strict=True):
        for (colour, mark), value, model in zip(marks(len(both)), values, both.to_dict("records"), strict=True):
            mean, low, high = (model[column] for column in ("mean_dice", "mean_low", "mean_high"))
            span: Any = [[mean - low], [high - mean]]
            axes.errorbar(value, mean, yerr=span, fmt=mark, color=colour, markersize=5, capsize=3, clip_on=False)
        axes.set(xlim=(0, 1.1 * values.max()), ylim=(0, 1), xlabel=name)
    panels[0].set_ylabel("Mean Dice, 95 % interval")
    handles = [bar.lines[0] for bar in panels[0].containers]
    figure.legend(handles, folded, loc="outside lower center", ncols=2)
    return figure
