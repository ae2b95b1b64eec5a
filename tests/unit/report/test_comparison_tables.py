"""The tables of a comparison say what its scores do, and leave out what it does not have."""

import math

import pytest

from lesionbench.evaluation.comparison import compare_models
from lesionbench.evaluation.scores import scores_by_study
from lesionbench.report.comparison_tables import make_tables
from scored import LABELS, compared, score_frames


def test_comparison_sets_the_papers_numbers_beside_ours():
    table = make_tables(compared())["comparison"]
    dice = scores_by_study(score_frames()[0], list(LABELS))
    row = table.data.set_index("model").loc["unet"]
    assert row["mean_dice"] == pytest.approx(dice["unet"].mean())
    assert row["max_difference"] == pytest.approx(dice["unet"].max() - 0.809378)
    assert row["mean_low"] < row["mean_dice"] < row["mean_high"]
    assert list(table.shown["Model"]) == list(LABELS.values())
    assert list(table.shown["Paper mean"]) == ["0.603", "0.598"]
    assert "SD over seeds" in table.shown


def test_comparison_leaves_out_what_it_does_not_have():
    table = make_tables(compared({"unet": "U-Net"}, studies=3, seeds=(0,), reference=()))["comparison"]
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
    tables = make_tables(compare_models(by_study, by_slice, LABELS, resamples=200))
    assert tables["comparison"].shown["Undefined"].tolist() == ["1", "1"]
    assert tables["comparison"].data["studies"].tolist() == [9, 9]
    assert tables["per_study"].shown.iloc[2].tolist() == ["study_0002", "–", "–"]
    assert tables["metrics"].shown["HD95 (mm) ↓"].tolist() == ["20.0 (1)", "20.0 (1)"]
    assert tables["pairwise"].data["studies"].tolist() == [9]


def test_a_label_may_be_called_as_a_column():
    tables = make_tables(compared({"unet": "Study", "unet_vgg19": "Study"}))
    assert list(tables["per_study"].shown) == ["Study", "Study", "Study"]
