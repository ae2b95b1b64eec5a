"""Charts of scores show every number where it belongs, legibly, for any number of models and any label."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from drawn import MANY, SWEPT, assert_legible, costs_of, texts
from lesionbench.evaluation.scores import READINGS
from lesionbench.evaluation.statistics import limits_of_agreement
from lesionbench.report.figures.score_charts import (
    dice_by_cost,
    dice_by_model,
    dice_readings,
    pairwise_differences,
    rank_stability,
    volume_agreement,
)
from lesionbench.report.style import save_figure
from scored import LABELS, compared


def charts_of(labels, studies):
    comparison = compared(labels, studies)
    charts = (dice_by_model, pairwise_differences, dice_readings, rank_stability, volume_agreement)
    return [*(chart(comparison) for chart in charts), dice_by_cost(comparison, costs_of(labels))]


@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS, MANY, SWEPT], ids=len)
def test_charts_are_legible_for_any_number_of_models(labels):
    for figure in charts_of(labels, studies=12):
        assert_legible(figure)


@pytest.mark.parametrize("models", [1, 2])
def test_any_text_is_a_label(models):
    strange = "_U-Net at $5 {cost} for a_b^c & 10 % of <b>, $x$ and \\frac"
    labels = {"long": strange + 20 * " and more", "unet": strange}
    for figure in charts_of(dict(list(labels.items())[:models]), studies=20):
        assert_legible(figure)
        written = [item for item, _ in texts(figure)]
        words = " ".join(item.get_text().replace("\n", " ") for item in written)
        assert "$5 {cost}" in words or "One model:" in words
        boxes = [box for item, box in texts(figure) if "U-Net" in item.get_text()]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
        assert not any(item.get_parse_math() for item in written)


def test_charts_of_scores_have_the_same_bytes_each_time(tmp_path):
    for number in range(2):
        for position, figure in enumerate(charts_of(LABELS, studies=20)):
            save_figure(figure, [tmp_path / f"{number}_{position}.svg"])
    for path in tmp_path.glob("0_*.svg"):
        assert path.read_bytes() == (tmp_path / path.name.replace("0_", "1_")).read_bytes()


def test_labels_are_drawn_as_they_are():
    labels = {"unet": "_a_ $b$ c_1", "other": "{d} $e"}
    comparison = compared(labels)
    for figure in (dice_readings(comparison), dice_by_model(comparison)):
        drawn = [item for item, _ in texts(figure) if item.get_text() in labels.values()]
        assert [item.get_text() for item in drawn] == list(labels.values())
        assert not any(item.get_parse_math() for item in drawn)


def test_charts_stand_a_single_study_without_an_interval():
    assert "mean" in [item.get_text() for item, _ in texts(dice_by_model(compared(studies=1)))]
    for figure in charts_of(LABELS, studies=1):
        assert_legible(figure)
        assert not any("nan" in item.get_text() for item, _ in texts(figure))


def test_ranks_are_written_as_shares_and_small_ones_left_out():
    ranks = pd.DataFrame([[0.996, 0.004], [0.004, 0.996]], index=list(LABELS), columns=[1, 2])
    figure = rank_stability(replace(compared(), ranks=ranks))
    cells = [item.get_text() for item in figure.axes[0].texts if item.get_text()]
    assert cells == ["100", "100"]
    models = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert models == list(LABELS.values()) and figure.axes[0].yaxis_inverted()


def test_the_model_of_the_best_mean_rank_comes_first():
    ranks = pd.DataFrame([[0.1, 0.2, 0.7], [0.6, 0.4, 0.0], [0.3, 0.4, 0.3]], index=list("abc"), columns=[1, 2, 3])
    figure = rank_stability(replace(compared(), ranks=ranks, labels={"a": "A", "b": "B", "c": "C"}))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["B", "C", "A"]
    assert [item.get_text() for item in figure.axes[0].texts] == ["60", "40", "", "30", "40", "30", "10", "20", "70"]


def levels(axes):
    """The heights of lines across the whole axes."""
    return [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]


def test_volumes_show_every_study_with_mean_ratio_and_limits_as_factors():
    comparison = compared(MANY, studies=20)
    reference, predicted = comparison.scores["reference_ml"]["model_0"], comparison.scores["predicted_ml"]
    panels = volume_agreement(comparison).axes
    for axes, (model, label) in zip(panels, MANY.items(), strict=False):
        ratios = predicted[model] / reference
        dots = next(line for line in axes.lines if line.get_linestyle() == "None").get_xydata()
        assert sorted(dots[:, 1]) == pytest.approx(sorted(ratios))
        assert sorted(dots[:, 0]) == pytest.approx(sorted(np.sqrt(predicted[model] * reference)))
        assert axes.get_xlim()[0] <= dots[:, 0].min() and dots[:, 0].max() <= axes.get_xlim()[1]
        assert levels(axes) == pytest.approx([1, *np.exp(limits_of_agreement(np.log(ratios)))])
        assert min(levels(axes)) > 0 and axes.get_ylim()[0] * axes.get_ylim()[1] == pytest.approx(1)
        assert axes.get_title().startswith(label[:6])


def test_twice_and_half_the_volume_are_equally_far_from_agreement():
    comparison = compared({"unet": "U-Net"}, studies=6)
    factors = np.array([2, 0.5] * 3)
    scores = comparison.scores | {"predicted_ml": comparison.scores["reference_ml"].mul(factors, axis=0)}
    _, mean, low, high = levels(volume_agreement(replace(comparison, scores=scores)).axes[0])
    assert mean == pytest.approx(1) and low * high == pytest.approx(1) and low < 0.5


@pytest.mark.parametrize("silent", [2, 20])
def test_volumes_without_a_ratio_are_marked_counted_and_in_no_limit(silent):
    comparison = compared({"unet": "U-Net"}, studies=20)
    reference, predicted = (comparison.scores[f"{which}_ml"].copy() for which in ("reference", "predicted"))
    predicted.iloc[:silent] = 0
    scores = {"reference_ml": reference, "predicted_ml": predicted}
    figure = volume_agreement(replace(comparison, scores=scores))
    assert_legible(figure)
    axes = figure.axes[0]
    marked = next(line for line in axes.lines if line.get_marker() == "v")
    assert list(marked.get_xdata()) == reference["unet"].iloc[:silent].tolist()
    assert axes.get_title().endswith(f"nothing predicted: {silent}")
    rest = np.log((predicted / reference)["unet"].iloc[silent:])
    expected = np.exp(limits_of_agreement(rest))
    assert levels(axes) == pytest.approx([1, *expected[np.isfinite(expected)]])
    reference.iloc[-1], predicted.iloc[-1] = 0, 5
    dots = volume_agreement(replace(comparison, scores=scores)).axes[0].lines[1]
    assert len(dots.get_xdata()) == max(19 - silent, 0)


def test_volumes_of_litres_leave_room_between_the_titles():
    comparison = compared(studies=20)
    litres = {metric: 100 * scores for metric, scores in comparison.scores.items()}
    figure = volume_agreement(replace(comparison, scores=litres))
    titles = [box for item, box in texts(figure) if "×" in item.get_text()]
    assert len(titles) == len(LABELS) and not titles[0].overlaps(titles[1])


def test_cost_shows_only_models_whose_cost_is_known():
    comparison = compared()
    costs = costs_of({"unet": "U-Net"})
    left, right = dice_by_cost(comparison, costs).axes
    dots = [axes.containers[0].lines[0].get_xydata().tolist() for axes in (left, right)]
    mean = comparison.models.set_index("model").loc["unet", "mean_dice"]
    assert [len(left.containers), dots] == [1, [[[7, mean]], [[200, mean]]]]


def test_every_study_is_a_line_through_all_models():
    comparison = compared(studies=7)
    axes = dice_by_model(comparison).axes[0]
    lines = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == len(LABELS)]
    assert sorted(line.get_xdata()[0] for line in lines) == pytest.approx(sorted(comparison.dice["unet"]))


def test_many_studies_are_dots_on_a_shape_without_lines():
    comparison = compared(studies=30)
    dice = comparison.dice.assign(unet=0.5)
    axes = dice_by_model(replace(comparison, scores={"dice": dice})).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata()) == len(LABELS)]
    assert len(dots) == 30 and not any(line.get_linewidth() for line in dots)
    assert len(dice_by_model(comparison).axes[0].collections) >= 2


def test_one_model_has_a_mark_for_each_reading():
    comparison = compared()
    axes = dice_readings(comparison).axes[0]
    drawn = [line.get_xdata().tolist() for line in axes.lines]
    assert drawn == [comparison.readings[reading].tolist() for reading in READINGS]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(LABELS.values())


def test_a_pair_whose_interval_leaves_out_zero_is_blue_or_hollow_and_the_legend_says_why():
    comparison = compared({"a": "A", "b": "B", "c": "C"})
    claims = {"different": [True, False, False], "low": [0.1, 0.01, -0.1], "high": [0.3, 0.2, 0.1]}
    pairs = comparison.pairs.assign(**claims, recipe_low=np.nan, recipe_high=np.nan)
    figure = pairwise_differences(replace(comparison, pairs=pairs))
    marks = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert [line.get_marker() for line in marks] == ["s", "o", "o"]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, True, False]
    reason = "none shown: zero outside, but p (Holm) ≥ 0.05"
    assert reason in [item.get_text() for item, _ in texts(figure)]
    clear = pairwise_differences(replace(comparison, pairs=pairs.assign(different=[True, True, False])))
    assert reason not in [item.get_text() for item, _ in texts(clear)]


def test_a_thin_line_is_the_interval_of_networks_trained_again():
    comparison = compared()
    pair = comparison.pairs.iloc[0]
    spans = [line.get_xdata().tolist() for line in pairwise_differences(comparison).axes[0].lines[1:3]]
    assert spans == [[pair["recipe_low"], pair["recipe_high"]], [pair["low"], pair["high"]]]
    words = [
        [item.get_text() for item, _ in texts(pairwise_differences(compared(seeds=seeds)))] for seeds in ((0, 1), (0,))
    ]
    assert ["interval if trained again" in found for found in words] == [True, False]


def test_many_pairs_are_cut_down_to_those_of_the_highest_mean():
    comparison = compared(MANY)
    leader = comparison.models.set_index("label")["mean_dice"].idxmax()
    labels = [label.get_text() for label in pairwise_differences(comparison).axes[0].get_yticklabels()]
    assert len(labels) == len(MANY) - 1
    assert all(leader in label for label in labels)
