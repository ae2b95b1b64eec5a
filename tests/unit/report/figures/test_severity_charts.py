"""Shares by class are drawn a panel a model."""

import numpy as np
import pytest

from drawn import MANY, assert_legible, shares_of
from lesionbench.report.figures.severity_charts import share_by_class
from scored import LABELS


@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS, MANY], ids=len)
def test_shares_are_legible_for_any_number_of_models(labels):
    assert_legible(share_by_class(shares_of(labels, (254, 684, 125, 45, 2)), labels))


def test_each_panel_has_a_dot_for_each_study_of_its_model():
    shares = shares_of(LABELS)
    shares.loc[0, "share"] = np.nan
    for axes, model in zip(share_by_class(shares, LABELS).axes, LABELS, strict=True):
        own = shares[(shares["model"] == model) & shares["share"].notna()]
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        drawn = np.concatenate([line.get_ydata() for line in dots])
        assert sorted(drawn) == pytest.approx(sorted(own["share"]))
        assert [round(float(x)) for line in dots for x in line.get_xdata()] == [
            int(category[-1]) for category in own["category"]
        ]


def test_a_class_without_studies_stays_empty():
    figure = share_by_class(shares_of(["unet"], (5, 8, 4, 0, 0)), {"unet": "U-Net"})
    assert_legible(figure)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()][3:] == ["CT-3\n0", "CT-4\n0"]
