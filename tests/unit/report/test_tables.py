"""Every table is right in all four formats, whatever its text means to TeX, Markdown, HTML or a shell."""

import html
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest

from lesionbench.report.comparison_tables import make_tables
from lesionbench.report.subset_table import slices_by_subset
from lesionbench.report.tables import Table, format_interval, format_number, write_table
from scored import compared
from tabled import FOLD, INVENTORY, cost_on_a_cpu


@pytest.mark.parametrize(
    "value, arguments, text",
    [
        (0.60292, {}, "0.603"),
        (-0.0123, {"signed": True}, "−0.012"),
        (0.0123, {"signed": True}, "+0.012"),
        (-0.0001, {"signed": True}, "0.000"),
        (25600, {"digits": 0}, "25,600"),
        (math.nan, {}, "–"),
        (None, {}, "–"),
    ],
)
def test_numbers_are_written_for_reading(value, arguments, text):
    assert format_number(value, **arguments) == text


def test_intervals_are_written_for_reading():
    assert format_interval(0.5, 0.71) == "0.500–0.710"
    assert format_interval(-0.5, 0.71, 1, signed=True) == "−0.5 to +0.7"
    assert format_interval(math.nan, 0.7) == "–"


# Text that means something to TeX, Markdown, HTML or a shell, at the start of a row too.
AWKWARD = [
    "*i* _u_ `c` ``d`` ~~s~~ __b__ a_b", "[l](x) {y} {{z}} #1 50% \\\\n \\_", "<b>x</b> < & &amp; |v|", "$x$ $HOME ^",
    "'q' \"Q\" -- --- ?` ''", "é ü ß", "a\\", "# h", "1. one",
]  # fmt: skip


def awkward_table():
    data = pd.DataFrame({"model": ["a_b & 50%", "x|y"], "mean": [1 / 3, 2 / 3]})
    shown = pd.DataFrame({"Model_{1}": data["model"], "Mean < 1": data["mean"].map(format_number)})
    return Table("A #1 table", data, shown, ("Note_1: 5 % of $1, −2 × 3 – ~^\\.",))


def test_csv_keeps_full_precision(tmp_path):
    write_table(awkward_table(), [tmp_path / "t.csv"])
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), awkward_table().data, check_exact=True)


def test_markdown_has_rows_of_equal_length_and_escaped_bars(tmp_path):
    write_table(awkward_table(), [tmp_path / "t.md"])
    lines = (tmp_path / "t.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert rows[1].replace("-", "") == "| : | : |"
    assert len({len(row) for row in rows}) == 1
    assert r"x\|y" in rows[3]
    assert lines[0] == "**A #1 table**"


def test_html_is_a_page_with_escaped_cells(tmp_path):
    write_table(awkward_table(), [tmp_path / "t.html"])
    cells, tags = [], [""]

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            tags.append(tag)

        def handle_data(self, data):
            if tags[-1] in ("td", "th"):
                cells.append(data.strip())

    Reader().feed((tmp_path / "t.html").read_text())
    assert [cell for cell in cells if cell] == ["Model_{1}", "Mean < 1", "a_b & 50%", "0.333", "x|y", "0.667"]


def test_markdown_shows_any_text_as_it_is(tmp_path):
    markdown = pytest.importorskip("markdown", reason="needs Markdown")
    frame = pd.DataFrame({"Name": AWKWARD})
    write_table(Table("Names", frame, frame, tuple(AWKWARD)), [tmp_path / "t.md"])
    page = markdown.markdown((tmp_path / "t.md").read_text(), extensions=["tables"])
    for tag in ("td", "p"):
        shown = [html.unescape(text) for text in re.findall(rf"<{tag}[^>]*>([^<]*)</{tag}>", page)]
        assert shown == AWKWARD, page


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    tables = make_tables(compared())
    names = pd.DataFrame({"Name": AWKWARD})
    tables |= {
        "awkward": awkward_table(),
        "names": Table("Names", names, names, tuple(AWKWARD)),
        "cost": cost_on_a_cpu(tmp_path),
    }
    tables |= {f"slices_of_{plane}": slices_by_subset(INVENTORY, {0: FOLD}, plane) for plane in ("axial", "coronal")}
    for name, table in tables.items():
        write_table(table, [tmp_path / f"{name}.tex"])
    packages = r"\usepackage[utf8]{inputenc}\usepackage{booktabs}\usepackage{graphicx}"
    inputs = "".join(rf"\input{{{name}.tex}}" for name in tables)
    (tmp_path / "all.tex").write_text(rf"\documentclass{{article}}{packages}\begin{{document}}{inputs}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-2000:]


def test_latex_escapes_and_rules(tmp_path):
    write_table(awkward_table(), [tmp_path / "t.tex"])
    text = (tmp_path / "t.tex").read_text()
    assert r"a\_b \& 50\% & 0.333 \\" in text
    assert r"Note\_1: 5 \% of \$1, $-$2 $\times$ 3 -- \textasciitilde{}\textasciicircum{}\textbackslash{}." in text
    assert [rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [True] * 3


@pytest.mark.parametrize(
    ("label", "comment"),
    [
        ("U-Net – 5 % × −2 ≤ “a”", "% needs \\usepackage[utf8]{inputenc}, "),
        ("Mu\u0308ller", "% needs \\usepackage[T1]{fontenc}"),
        ("模型 é", "% 型 模: compile with lualatex or xelatex"),
    ],
)
def test_latex_says_what_letters_beyond_ascii_need(tmp_path, label, comment):
    names = pd.DataFrame({"Name": [label]})
    write_table(Table("Names", names, names), [tmp_path / "t.tex"])
    text = (tmp_path / "t.tex").read_text()
    assert text.startswith(comment)
    assert "u\u0308" not in text
