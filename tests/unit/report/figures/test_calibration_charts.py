"""The curves of probabilities are drawn a panel a model, with the other models behind."""

import pytest

from drawn import MANY, assert_legible, calibration_of
from lesionbench.evaluation.calibration import calibration_curves
from lesionbench.report.figures.calibration_charts import dice_by_threshold, froc, precision_recall, reliability
from lesionbench.report.style import BLUE
from scored import LABELS

CHARTS = {
    reliability: "reliability", precision_recall: "precision_recall", froc: "froc", dice_by_threshold: "dice"
}  # fmt: skip


@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS, MANY], ids=len)
@pytest.mark.parametrize("chart", CHARTS)
def test_curves_are_legible_for_any_number_of_models(chart, labels):
    assert_legible(chart(calibration_curves(*calibration_of(labels), {}), labels))


@pytest.mark.parametrize("chart", CHARTS)
def test_each_panel_shows_its_models_curve_before_those_of_the_others(chart):
    curves = calibration_curves(*calibration_of(LABELS), {})
    for axes, (model, label) in zip(chart(curves, LABELS).axes, LABELS.items(), strict=True):
        own = curves[(curves["model"] == model) & (curves["curve"] == CHARTS[chart])]
        (line,) = [line for line in axes.lines if line.get_color() == BLUE]
        assert line.get_xydata() == pytest.approx(own[["x", "y"]].to_numpy())
        assert axes.get_title().replace("\n", " ") == label
        assert sum(len(line.get_xdata()) > 5 for line in axes.lines) == len(LABELS)


@pytest.mark.parametrize("chart", CHARTS)
def test_without_any_lesion_the_panels_are_there(chart):
    assert_legible(chart(calibration_curves(*calibration_of(LABELS, studies=2, empty=2), {}), LABELS))


@pytest.mark.parametrize("chart", CHARTS)
def test_a_model_without_probabilities_has_no_panel(chart):
    curves = calibration_curves(*calibration_of(["unet"]), {})
    assert [axes.get_title() for axes in chart(curves, LABELS).axes] == ["U-Net"]
