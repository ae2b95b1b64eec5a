"""The pie names every class with its share, and no label covers another."""

import itertools

import numpy as np
import pandas as pd
import pytest

from drawn import CLASSES, assert_legible, texts
from lesionbench.report.figures.class_pie import class_pie


@pytest.mark.parametrize("studies", [[254, 684, 125, 45, 2], [0, 13, 0, 0, 0], [2, 10, 2, 1, 1], [1, 1, 1, 1, 900]])
def test_labels_of_the_pie_do_not_overlap(studies):
    figure = class_pie(CLASSES.assign(studies=studies))
    assert_legible(figure)
    labels = [box for item, box in texts(figure) if item.get_text().startswith("CT-")]
    assert len(labels) == np.count_nonzero(studies)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(labels, 2))


def test_the_pie_shows_studies_of_unknown_category():
    figure = class_pie(pd.concat([CLASSES, pd.DataFrame({"category": ["unknown"], "studies": [50]})]))
    assert "unknown\n50 (4.3 %)" in [item.get_text() for item, _ in texts(figure)]


def test_the_pie_gives_counts_and_shares():
    written = [item.get_text() for item, _ in texts(class_pie(CLASSES))]
    assert "CT-4\n2 (0.2 %)" in written
    assert "CT-1\n684 (61.6 %)" in written
    assert "n = 1,110 studies" in written


def test_classes_of_any_name_and_number_have_a_wedge():
    classes = pd.DataFrame({"category": [*"abcdefg", "unknown"], "studies": range(8, 16)})
    written = [item.get_text() for item, _ in texts(class_pie(classes))]
    assert sum("%" in text for text in written) == 8 and "g\n14 (15.2 %)" in written
