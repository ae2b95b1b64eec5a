"""The tables of severity show every measure with its interval, and say on whom it stands."""

import numpy as np

from drawn import shares_of
from lesionbench.evaluation.severity import MEASURES, judge_severity
from lesionbench.report import severity_tables as module
from lesionbench.report.severity_tables import severity_tables
from scored import LABELS

SEVERITY = judge_severity(shares_of(LABELS), {}, 100)


def test_every_measure_has_a_column_and_a_row_for_each_pair():
    tables = severity_tables(SEVERITY, LABELS)
    assert set(module.MEASURES) == set(MEASURES)
    assert tables["severity"].shown["Model"].tolist() == list(LABELS.values())
    row, cell = SEVERITY.scores.iloc[0], tables["severity"].shown.iloc[0]
    assert cell["Spearman's ρ ↑"] == f"{row.spearman:.3f} ({row.spearman_low:.3f}–{row.spearman_high:.3f})"
    pairs = len(LABELS) * (len(LABELS) - 1) // 2
    assert len(tables["severity_pairs"].shown) == pairs * len(MEASURES)
    assert len(tables["severity_classes"].shown) == 5 * len(LABELS)
    assert "22 studies, of which no training has seen" in tables["severity"].notes[0]


def test_what_is_undefined_is_a_dash_and_studies_without_lungs_are_named():
    shares = shares_of(["unet"])
    shares.loc[0, "share"] = np.nan
    shares.loc[1:, "share"] = 0
    table = severity_tables(judge_severity(shares, {}, 20), LABELS)["severity"]
    assert table.shown["Spearman's ρ ↑"].tolist() == ["–"]
    assert "no lungs were found, and left out: 1 study (study_0)" in table.notes[-1]


def test_one_model_has_a_table_of_pairs_without_rows():
    table = severity_tables(judge_severity(shares_of(["unet"]), {}, 20), LABELS)["severity_pairs"]
    assert table.shown.empty and "p (Holm)" in table.shown


def test_patients_are_counted_where_they_have_several_studies():
    patients = {f"study_{number}": f"patient_{number // 2}" for number in range(22)}
    table = severity_tables(judge_severity(shares_of(LABELS), patients, 20), LABELS)["severity"]
    assert table.notes[0].startswith("22 studies of 11 patients, of which")
