"""Text that the figures' font lacks is drawn with other fonts, or the log says what to install."""

import logging

import pytest
from matplotlib.font_manager import findfont

from lesionbench.report import fonts
from lesionbench.report.fonts import add_fonts, fonts_to_install
from lesionbench.report.style import new_figure, save_figure

IN_STIX = "ᶁᶄ"  # a font that ships with matplotlib has these, and DejaVu Sans does not
IN_NONE = "\U0010fffd"  # for private use


def figure_with(*texts):
    figure = new_figure(2, 1)
    return figure, [figure.text(0.1, 0.1 + number / 5, text) for number, text in enumerate(texts)]


def test_text_gets_a_font_that_has_it_and_other_text_keeps_its_own(caplog):
    _, (plain, strange) = figure_with("U-Net $5 é модель نموذج", f"U-Net {IN_STIX}")
    before = plain.get_fontfamily()
    add_fonts([plain, strange], "a figure")
    assert plain.get_fontfamily() == before
    assert strange.get_fontfamily()[: len(before)] == before and len(strange.get_fontfamily()) == len(before) + 1
    assert not caplog.records


def test_what_no_font_has_is_told_once_with_the_label_and_a_font_to_install(tmp_path, caplog, recwarn, monkeypatch):
    monkeypatch.setattr(fonts, "_installed", dict)
    figure, _ = figure_with("U-Net", "模型一", "型")
    save_figure(figure, [tmp_path / "chart.svg", tmp_path / "chart.png"])
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    message = record.getMessage()
    assert message.startswith("chart: no installed font has 一, 型, 模, so there are boxes in 模型一, 型.")
    assert "Install Noto Sans CJK" in message
    assert not [warning for warning in recwarn if "missing from font" in str(warning.message)]


def test_a_font_of_boxes_for_every_character_is_no_font_for_it(caplog):
    _, texts = figure_with(IN_NONE)
    add_fonts(texts, "a figure")
    assert len(caplog.records) == 1 and texts[0].get_fontfamily() == ["DejaVu Sans"]


def test_what_is_drawn_as_nothing_needs_no_font(caplog):
    _, texts = figure_with("a\u200bb\u200d c\ufe0f\u00ad\n\t")
    add_fonts(texts, "a figure")
    assert not caplog.records


def test_a_font_installed_after_matplotlib_listed_all_is_found(monkeypatch):
    path = findfont("STIXGeneral")
    entries = [entry for entry in fonts.fontManager.ttflist if not entry.name.startswith("STIX")]
    monkeypatch.setattr(fonts.fontManager, "ttflist", entries)
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: [path, __file__])
    _, texts = figure_with(IN_STIX)
    add_fonts(texts, "a figure")
    assert texts[0].get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("模型", ["Noto Sans CJK"]),
        ("モデル한국", ["Noto Sans CJK"]),
        ("ไทย", ["Noto Sans Thai"]),
        ("🤖", ["Noto Emoji"]),
    ],
)
def test_the_font_to_install_is_that_of_the_script(text, names):
    assert fonts_to_install(text) == names
