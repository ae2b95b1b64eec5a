"""The same figure has the same bytes each time, in every format."""

import pytest

from drawn import CLASSES
from lesionbench.report.figures.class_pie import class_pie
from lesionbench.report.style import fold_label, fold_labels, most_lines, new_figure, save_figure


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_the_same_figure_has_the_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    for path in paths:
        save_figure(class_pie(CLASSES), [path])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > 2000


def test_a_figure_is_saved_in_every_format_at_200_dpi(tmp_path):
    save_figure(new_figure(2, 1), [tmp_path / "f.svg", tmp_path / "f.png"])
    assert (tmp_path / "f.svg").read_text().lstrip().startswith("<?xml")
    assert (tmp_path / "f.png").read_bytes()[16:24] == (400).to_bytes(4) + (200).to_bytes(4)


def test_a_label_is_broken_into_lines_and_what_is_too_long_ends_in_an_ellipsis():
    assert fold_label("U-Net") == "U-Net"
    assert fold_label("U-Net with VGG19 encoder", 12, 3) == "U-Net with\nVGG19\nencoder"
    assert fold_label("U-Net with VGG19 encoder", 12, 2) == "U-Net with\nVGG19 …"
    assert fold_label("U-Net of one two three", 12, 1) == "U-Net of …"
    assert fold_label("A" * 30, 12, 1) == "A" * 10 + " …"
    assert fold_label("A" * 30, 12, 2) == "A" * 12 + "\n" + "A" * 10 + " …"


def test_wide_characters_take_the_width_of_two():
    assert fold_label("模型一二三四五六", 8, 2) == "模型一二\n三四五六"
    assert fold_label("Mu\u0308ller Mu\u0308ller", 13, 1) == "Mu\u0308ller Mu\u0308ller"


def test_labels_that_differ_only_where_they_would_be_cut_get_more_lines():
    labels = [f"U-Net with a long name {end}" for end in ("one", "two")]
    assert fold_labels(labels, 12, 2) == [f"U-Net with a\nlong name\n{end}" for end in ("one", "two")]
    assert fold_labels(["U-Net", labels[0]], 12, 2) == ["U-Net", "U-Net with a\nlong name …"]


def test_the_lines_of_folded_labels_are_counted_by_label_and_by_column_of_a_legend():
    assert most_lines(["a", "b\nc", "d"]) == 2
    assert most_lines(["a", "b\nc", "d", "e", "f"], 2) == 4
    assert most_lines(["a"] * 4, 2) == 2
