"""The curves of every training, each measure in a separate panel, and the epoch whose weights are kept."""

import itertools

import numpy as np
import pandas as pd
import pytest

from drawn import MANY, assert_legible, histories_of, texts
from lesionbench.report.figures.learning_curves import learning_curves
from scored import LABELS


def test_the_best_epoch_is_the_one_of_lowest_validation_loss():
    axes = learning_curves(histories_of({"unet": 1}), {"unet": "U-Net"}).axes
    dots = [[line.get_xydata()[0].tolist() for line in panel.lines if line.get_marker() == "o"] for panel in axes]
    assert dots == [[], [[5, 0]], [[5, 0.8]]]


def test_the_best_epoch_is_the_one_of_highest_dice_where_the_recipe_says_so():
    histories = histories_of(LABELS)
    second = histories["model"] == list(LABELS)[1]
    histories.loc[second, "best_epoch_by"] = "dice"
    histories.loc[second & (histories["epoch"] > 9), "validation_dice"] = [np.nan, 0.5, 0.5]
    figure = learning_curves(histories, LABELS)
    dots = [
        [line.get_xydata()[0].tolist() for line in panel.lines if line.get_marker() == "o"] for panel in figure.axes
    ]
    assert dots[:2] == [[], []] and dots[2] == [[5, 0]] and dots[4] == [[5, 0.8]]
    assert [point[0] for (point,) in dots[3::2]] == [9, 9]
    written = " ".join(item.get_text() for item, _ in texts(figure))
    assert "judges by the validation loss or validation Dice" in written


def test_each_loss_has_a_panel_of_its_own_that_says_what_it_is():
    histories = histories_of(LABELS, seeds=2).assign(train_loss=7.0)
    figure = learning_curves(histories, LABELS)
    columns = ("train_loss", "validation_loss", "validation_dice")
    for panels, column in zip(np.reshape(figure.axes, (3, 2)), columns, strict=True):
        for axes, model in zip(panels, LABELS, strict=True):
            drawn = [line.get_ydata().tolist() for line in axes.lines if line.get_marker() != "o"]
            runs = histories[histories["model"] == model].groupby("seed")[column]
            assert drawn == [values.tolist() for _, values in runs]
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["Training loss", "Validation loss", "Validation Dice"]
    written = " ".join(item.get_text() for item, _ in texts(figure))
    assert "mean over batches" in written and "early stopping judges by the validation loss" in written


def test_a_validation_dice_that_is_undefined_leaves_its_panel_empty():
    histories = histories_of(LABELS).assign(validation_dice=np.nan)
    assert_legible(learning_curves(histories, LABELS))


@pytest.mark.parametrize("epochs", [1, 2, 3, 100])
def test_epochs_are_whole_numbers(epochs):
    histories = pd.concat([histories_of({"unet": 1})] * 9).assign(epoch=lambda table: np.arange(len(table)) + 1)
    lower = learning_curves(histories[:epochs], {"unet": "U-Net"}).axes[2]
    low, high = lower.get_xlim()
    assert all(len(line.get_xdata()) > 1 or line.get_marker() != "" for line in lower.lines)
    ticks = [tick for tick in lower.get_xticks() if low <= tick <= high]
    assert ticks and all(tick == round(tick) for tick in ticks)


@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS, {**LABELS, "third": "FPN"}, MANY], ids=len)
def test_curves_are_legible_for_any_number_of_models(labels):
    assert_legible(learning_curves(histories_of(labels, seeds=2), labels))


def test_any_text_is_a_label_of_a_panel():
    strange = "_U-Net at $5 {cost} for a_b^c & 10 % of <b>, $x$ and \\frac"
    figure = learning_curves(histories_of(LABELS), {"unet": strange, "unet_vgg19": strange + 20 * " and more"})
    assert_legible(figure)
    titles = [(item, box) for item, box in texts(figure) if "U-Net" in item.get_text()]
    assert len(titles) == 2 and not any(item.get_parse_math() for item, _ in titles)
    assert not any(one.overlaps(other) for (_, one), (_, other) in itertools.combinations(titles, 2))
