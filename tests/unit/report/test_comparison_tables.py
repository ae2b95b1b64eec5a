"""The tables of a comparison say what its scores do, and leave out what it does not have."""

import math

import pytest

from lesionbench.evaluation.comparison import compare_models
from lesionbench.evaluation.scores import scores_by_study
from lesionbench.evaluation.simulation import coverage_of_mean
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


def test_comparison_leaves_out_what_it_does_not_have_and_keeps_the_empty_column_of_seeds():
    table = make_tables(compared({"unet": "U-Net"}, studies=3, seeds=(0,), reference=()))["comparison"]
    assert list(table.shown) == [
        "Model",
        "Mean Dice",
        "Max Dice",
        "Mean, 95\u00a0% interval",
        "Median",
        "Quartiles",
        "Min Dice",
        "Dice < 0.1",
        "SD over seeds",
    ]
    assert table.shown["SD over seeds"].tolist() == ["–"]
    assert "nothing to compare" in table.notes[0] and "one training of each model" in table.notes[-1]


def test_the_foot_states_the_studies_and_the_coverage_of_their_number():
    notes = " ".join(make_tables(compared())["comparison"].notes)
    assert "n = 10 studies" in notes and "no probability that it is the best" in notes
    assert f"covers the mean in {100 * coverage_of_mean(10):.0f}\u00a0% for n = 10" in notes
    assert "One study gives no interval" in " ".join(make_tables(compared(studies=1))["comparison"].notes)


def test_failures_are_counted_beside_the_minimum():
    by_study, by_slice = score_frames()
    by_study.loc[(by_study["study"] == "study_0002") & (by_study["model"] == "unet"), "dice"] = 0.05
    shown = make_tables(compare_models(by_study, by_slice, LABELS, resamples=200))["comparison"].shown
    assert shown["Dice < 0.1"].tolist() == ["1", "0"] and shown["Min Dice"].iloc[0] == "0.050"


def test_studies_without_lesion_are_scored_apart():
    by_study, by_slice = score_frames()
    by_study.loc[by_study["study"] == "study_0002", ["dice", "reference_ml", "hd95_mm"]] = math.nan, 0, math.nan
    marked = by_study["model"].eq("unet").astype(float).where(by_study["study"] == "study_0002")
    by_study = by_study.assign(false_positive_ml=2 * marked, any_false_positive=marked)
    tables = make_tables(compare_models(by_study, by_slice, LABELS, resamples=200))
    assert tables["comparison"].shown["False positive (ml)"].tolist() == ["2.0", "0.0"]
    assert tables["comparison"].shown["Any false positive"].tolist() == ["100 %", "0 %"]
    assert tables["comparison"].data["studies"].tolist() == [9, 9]
    assert "1 study without lesion count" in " ".join(tables["comparison"].notes)
    assert tables["per_study"].shown.iloc[2].tolist() == ["study_0002", "–", "–"]
    assert tables["metrics"].shown["HD95 (mm) ↓"].tolist() == ["20.0 (1)", "20.0 (1)"]


def test_pairs_show_networks_trained_again_where_there_are_several_trainings():
    several, one = (make_tables(compared(seeds=seeds))["pairwise"].shown for seeds in ((0, 1), (0,)))
    again = ["Trained again, 95\u00a0% interval", "p, trained again"]
    assert set(several) - set(one) == set(again)
    assert several["Wins/ties/losses"].tolist() == ["2/0/8"]


def test_a_label_may_be_called_as_a_column():
    tables = make_tables(compared({"unet": "Study", "unet_vgg19": "Study"}))
    assert list(tables["per_study"].shown) == ["Study", "Study", "Study"]
