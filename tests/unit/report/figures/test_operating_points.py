"""The figure of operating points shows each run's curve and what was chosen on it."""

import numpy as np
import pytest

from drawn import MANY, assert_legible, choices_of
from lesionbench.report.figures.operating_points import operating_points
from lesionbench.report.point_table import read_choices
from scored import LABELS


@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS, MANY], ids=len)
@pytest.mark.parametrize("sizes", [False, True])
def test_choices_are_legible_for_any_number_of_models(tmp_path, labels, sizes):
    assert_legible(operating_points(read_choices(*choices_of(tmp_path, labels, sizes=sizes)), labels))


def test_each_run_is_a_line_with_a_dot_at_its_choice(tmp_path):
    points = read_choices(*choices_of(tmp_path, LABELS, seeds=2))
    figure = operating_points(points, LABELS)
    for column, model in enumerate(LABELS):
        for row, key in enumerate(("threshold", "min_component_mm3")):
            *lines, dots = figure.axes[row * len(LABELS) + column].lines
            own = points[(points["model"] == model) & (points["key"] == key)]
            assert len(lines) == 2 and np.concatenate([line.get_ydata() for line in lines]) == pytest.approx(
                own["dice"]
            )
            assert dots.get_xydata() == pytest.approx(own.loc[own["chosen"], ["value", "dice"]].to_numpy())


def test_a_model_that_chose_one_thing_alone_has_one_panel(tmp_path):
    points = read_choices(*choices_of(tmp_path, LABELS))
    given = (points["model"] == "unet") & (points["key"] == "min_component_mm3")
    axes = operating_points(points[~given], LABELS).axes
    assert [panel.axison for panel in axes] == [True, True, False, True]
