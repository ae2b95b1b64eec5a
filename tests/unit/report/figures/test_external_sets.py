import pandas as pd
import pytest

from drawn import assert_legible
from lesionbench.evaluation.transfer import COLUMNS
from lesionbench.report.figures.external_sets import external_sets


def sets(models, names):
    rows = [
        [f"m{model}", f"Model {'with a long name ' * 3} {model}", name, 5, 5, 0.5, 0.4, 0.6, -0.1, -0.2, 0.0]
        for name in names
        for model in range(models)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize(("models", "names"), [(1, 2), (4, 3), (20, 8)])
def test_each_model_has_a_mark_for_each_set(models, names):
    labels = ["the data set", *(f"Set {number} $x$" for number in range(names - 1))]
    figure = external_sets(sets(models, labels))
    (axes,) = figure.axes
    lines = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert [len(line.get_xdata()) for line in lines] == [models] * names
    looks = {(line.get_color(), line.get_marker()) for line in lines}
    assert len(looks) == min(names, 7)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"{label} (5)" for label in labels]
    assert len({label.get_text() for label in axes.get_yticklabels()}) == models
    assert_legible(figure)


def test_a_model_that_was_not_tested_on_a_set_has_no_mark_there():
    frame = sets(2, ["the data set", "Out"]).iloc[:3]
    (axes,) = external_sets(frame).axes
    lines = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert [len(line.get_xdata()) for line in lines] == [2, 1]
