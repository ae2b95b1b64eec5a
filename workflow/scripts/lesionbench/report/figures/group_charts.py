"""Scores in groups of studies, and the order of the models by other scores."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from lesionbench.evaluation.comparison import Comparison
from lesionbench.evaluation.rankings import RANKED, rank_correlation, rankings
from lesionbench.evaluation.subgroups import study_groups
from lesionbench.report.style import COLUMN, PAGE, PALE, fold_label, fold_labels, marks, most_lines, new_figure
from lesionbench.report.tables import format_number


def dice_by_subgroup(comparison: Comparison, inventory: pd.DataFrame) -> Figure:
    """Draw the Dice of each study and each model's mean by lesion volume, category and slice spacing, a panel each."""
    by = study_groups(comparison, inventory)
    models = len(comparison.labels)
    heights = [len(groups) for groups in by.values()]
    row = max(0.4, 0.14 * models)
    folded = fold_labels(comparison.labels.values(), 40, 1)
    figure = new_figure(PAGE * 0.75, 1.2 + 0.25 * len(by) + row * sum(heights) + 0.14 * most_lines(folded, 2))
    panels = figure.subplots(len(by), 1, sharex=True, height_ratios=[max(height, 0.1) for height in heights])
    shifts = np.linspace(-0.3, 0.3, models) if models > 1 else np.zeros(1)
    for axes, (title, groups) in zip(panels, by.items(), strict=True):
        looks = zip(comparison.labels, folded, shifts, marks(models), strict=True)
        for model, label, shift, (colour, mark) in looks:
            dice = [comparison.dice.loc[studies, model] for studies in groups.values()]
            rows = np.arange(len(groups)) + shift
            dots: dict[str, Any] = {"color": colour, "markersize": 2, "alpha": 0.5, "linestyle": ""}
            for level, scores in zip(rows, dice, strict=True):
                axes.plot(scores, np.full(len(scores), level), "o", clip_on=False, **dots)
            look: dict[str, Any] = {"color": colour, "markersize": 5, "linestyle": "", "clip_on": False}
            axes.plot([scores.mean() for scores in dice], rows, mark, label=label, **look)
        axes.hlines(np.arange(len(groups) - 1) + 0.5, 0, 1, color=PALE, linewidth=0.5)
        axes.set(xlim=(0, 1), ylim=(len(groups) - 0.5, -0.5))
        axes.set_yticks(range(len(groups)), [f"{group}\n(n = {len(studies)})" for group, studies in groups.items()])
        axes.set_title(title, loc="left", pad=3)
        axes.grid(axis="y", visible=False)
    panels[-1].set_xlabel("Dice per study")
    handles = [line for line in panels[0].lines if not line.get_label().startswith("_child")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def rank_agreement(comparison: Comparison) -> Figure:
    """Draw Kendall's τ between the orders of the models by each two scores, and below each score the ranks."""
    ranks = rankings(comparison)
    tau = rank_correlation(ranks)
    titles = [fold_label(RANKED[str(name)], 12, 2) for name in ranks]
    labels = fold_labels(comparison.labels.values(), 30, 2)
    heights = [len(titles), len(labels) * max(1, 0.4 * most_lines(labels))]
    figure = new_figure(max(COLUMN, 2.2 + 0.62 * len(titles)), 1.3 + 0.32 * sum(heights))
    upper, lower = figure.subplots(2, 1, height_ratios=heights)
    look: dict[str, Any] = {"linewidths": 1, "cbar": False, "fmt": "", "annot_kws": {"fontsize": 7}}
    sns.heatmap(tau, annot=tau.map(lambda x: format_number(x, 2)), cmap="vlag_r", vmin=-1, vmax=1, ax=upper, **look)
    written = ranks.map(lambda rank: f"{rank:g}")
    sns.heatmap(ranks, annot=written, cmap="Blues_r", vmin=1, vmax=2 * len(labels), ax=lower, **look)
    upper.set_yticklabels([title.replace("\n", " ") for title in titles], rotation=0)
    upper.set_xticklabels([])
    upper.set_title("Kendall's τ", loc="left", pad=3)
    lower.set_yticklabels(labels, rotation=0)
    lower.set_xticklabels(titles, rotation=0)
    lower.set_title("Rank", loc="left", pad=3)
    for axes in (upper, lower):
        axes.tick_params(length=0)
        axes.set(xlabel="", ylabel="")
        axes.grid(visible=False)
    return figure
