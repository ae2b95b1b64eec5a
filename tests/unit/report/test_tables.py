"""Scores are collected and averaged as said, and every table is right in all four formats."""

import html
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from test_cost import cost_on_a_cpu

from lesionbench.evaluation.scores import collect_scores, dice_readings, read_table, scores_by_study, spread_over_seeds
from lesionbench.report.comparison_tables import make_tables
from lesionbench.report.tables import Table, format_interval, format_number, slices_by_subset, write_table


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
    tables = make_tables(*score_frames(), LABELS, REFERENCE, resamples=100)
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


def test_names_that_read_as_numbers_or_as_missing_stay_text(tmp_path):
    frame = pd.DataFrame({"study": ["007", "NA"], "label": ["1e3", "null"], "dice": [0.5, math.nan]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), frame)


def test_a_label_may_be_called_as_a_column():
    tables = make_tables(*score_frames(), {"unet": "Study", "unet_vgg19": "Study"}, resamples=100)
    assert list(tables["per_study"].shown) == ["Study", "Study", "Study"]


def test_scores_of_many_runs_are_collected_in_one_frame(tmp_path):
    runs = [["unet", 0, 0], ["unet", 1, 3]]
    for number in range(2):
        pd.DataFrame({"study": [f"{number:04d}"], "dice": [0.5 + number / 10]}).to_csv(
            tmp_path / f"{number}.csv", index=False
        )
    scores = collect_scores([tmp_path / "0.csv", tmp_path / "1.csv"], runs)
    assert scores.to_dict("records") == [
        {"model": "unet", "fold": 0, "seed": 0, "study": "0000", "dice": 0.5},
        {"model": "unet", "fold": 1, "seed": 3, "study": "0001", "dice": 0.6},
    ]


def test_seeds_are_averaged_before_studies_and_undefined_ones_left_out():
    scores = pd.DataFrame(
        {
            "model": ["m"] * 6,
            "seed": [0, 0, 0, 1, 1, 1],
            "study": ["a", "b", "c"] * 2,
            "dice": [0.2, 0.4, math.nan, 0.4, math.nan, math.nan],
        }
    )
    wide = scores_by_study(scores, ["m", "absent"])
    np.testing.assert_allclose(wide["m"], [0.3, 0.4, math.nan])
    assert list(wide.columns) == ["m", "absent"]
    assert wide["absent"].isna().all()
    assert spread_over_seeds(scores, ["m"])["m"] == pytest.approx(np.std([0.3, 0.4], ddof=1))


def test_readings_of_mean_dice_by_hand():
    slices = pd.DataFrame(
        {
            "model": "m",
            "seed": 0,
            "study": ["a", "a", "a", "b", "b"],
            "reference_voxels": [10, 0, 0, 4, 0],
            "predicted_voxels": [10, 0, 5, 4, 0],
            "dice": [0.8, math.nan, 0.0, 0.5, math.nan],
        }
    )
    readings = dice_readings(slices, ["m"]).loc["m"]
    assert readings["study"] == pytest.approx((16 / 25 + 4 / 8) / 2)
    assert readings["lesion_slices"] == pytest.approx((0.8 + 0.5) / 2)
    assert readings["empty_as_one"] == pytest.approx((0.8 + 1 + 0 + 0.5 + 1) / 5)
    assert readings["empty_as_zero"] == pytest.approx(1.3 / 5)
    assert readings["pooled"] == pytest.approx(20 / 33)


def test_comparison_sets_the_papers_numbers_beside_ours():
    by_study, by_slice = score_frames()
    table = make_tables(by_study, by_slice, LABELS, REFERENCE, resamples=200)["comparison"]
    dice = scores_by_study(by_study, list(LABELS))
    row = table.data.set_index("model").loc["unet"]
    assert row["mean_dice"] == pytest.approx(dice["unet"].mean())
    assert row["max_difference"] == pytest.approx(dice["unet"].max() - 0.809378)
    assert row["mean_low"] < row["mean_dice"] < row["mean_high"]
    assert list(table.shown["Model"]) == list(LABELS.values())
    assert list(table.shown["Paper mean"]) == ["0.603", "0.598"]
    assert "SD over seeds" in table.shown


def test_comparison_leaves_out_what_it_does_not_have():
    table = make_tables(*score_frames(models={"unet": 1}, studies=3, seeds=(0,)), {"unet": "U-Net"})["comparison"]
    assert list(table.shown) == [
        "Model",
        "Mean Dice",
        "Max Dice",
        "Mean, 95\u00a0% interval",
        "Median",
        "Quartiles",
        "Studies",
    ]
    assert table.shown["Mean, 95\u00a0% interval"].tolist() == ["–"]
    assert "nothing to compare" in table.notes[0]


def test_undefined_scores_are_counted():
    by_study, by_slice = score_frames()
    by_study.loc[by_study["study"] == "study_0002", "dice"] = math.nan
    tables = make_tables(by_study, by_slice, LABELS, resamples=200)
    assert tables["comparison"].shown["Undefined"].tolist() == ["1", "1"]
    assert tables["comparison"].data["studies"].tolist() == [9, 9]
    assert tables["per_study"].shown.loc[2].tolist() == ["study_0002", "–", "–"]
    assert tables["metrics"].shown["HD95 (mm)"].tolist() == ["20.0 (1)", "20.0 (1)"]
    assert tables["pairwise"].data["studies"].tolist() == [9]


INVENTORY = pd.DataFrame(
    {
        "study": [f"study_{number:04d}" for number in range(50)],
        "axial_slices": range(20, 70),
        "coronal_slices": 512,
        "sagittal_slices": 512,
    }
)
FOLD = INVENTORY[["study"]].assign(subset=["train"] * 35 + ["validation"] * 5 + ["test"] * 10)


def test_slices_are_counted_by_subset_with_the_papers_beside():
    table = slices_by_subset(INVENTORY, {0: FOLD}, "coronal")
    rows = table.data.set_index("subset")
    assert rows["studies"].to_dict() == {"train": 35, "validation": 5, "test": 10, "total": 50}
    assert rows["slices"].to_dict() == {"train": 35 * 512, "validation": 5 * 512, "test": 10 * 512, "total": 25600}
    assert rows.loc["validation", "axial_slices"] == sum(range(55, 60))
    assert rows["paper_slices"].to_dict() == {"train": 1428, "validation": 212, "test": 409, "total": 2049}
    assert table.shown.iloc[3].tolist() == ["Total", "50", "25,600", "2,225", "50", "2,049"]
    assert "25,600" in table.notes[0]


def test_slices_of_every_fold_are_counted_without_the_papers():
    table = slices_by_subset(INVENTORY, {0: FOLD, 1: FOLD}, "axial")
    assert list(table.shown) == ["Fold", "Subset", "Studies", "Slices (axial)"]
    assert table.shown["Fold"].tolist() == ["0"] * 4 + ["1"] * 4
    assert not table.notes
