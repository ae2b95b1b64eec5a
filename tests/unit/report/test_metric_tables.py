"""The tables of further scores say what is undefined, penalised and dropped."""

import math

import pytest

from lesionbench.evaluation.comparison import compare_models
from lesionbench.evaluation.metrics import METRICS
from lesionbench.evaluation.scoring import Scoring
from lesionbench.report.metric_tables import lesion_means, metric_means, volume_means
from scored import LABELS, score_frames

SCORING = Scoring(surface_tolerance_mm=2, min_lesion_mm3=20)


def comparison_of(**columns):
    by_study, by_slice = score_frames()
    for name, value in columns.items():
        by_study[name] = value
    return compare_models(by_study, by_slice, LABELS, resamples=100)


def complete():
    """A comparison that has every score."""
    return comparison_of(**{metric.name: 1.0 for metric in METRICS if metric.name != "dice"})


def test_each_score_but_dice_is_in_one_table():
    tables = (metric_means(complete(), SCORING), volume_means(complete()), lesion_means(complete(), SCORING))
    columns = [name for table in tables for name in table.data]
    assert sorted(name for name in columns if columns.count(name) == 1 and not name.endswith("_undefined")) == sorted(
        metric.name for metric in METRICS if metric.name != "dice"
    )


def test_the_foot_states_tolerance_percentile_surface_smallest_lesion_policy_and_n():
    for table in (metric_means(complete(), SCORING), lesion_means(complete(), SCORING)):
        assert "Means over 10 studies with lesion and a Dice of every model" in table.notes[0]
        assert any("the prediction none, each share is 0 and HD95 the diagonal" in note for note in table.notes)
    words = " ".join(metric_means(complete(), SCORING).notes)
    assert "95th percentile" in words and "within 2 mm" in words and "as in MetricsReloaded" in words
    words = " ".join(lesion_means(complete(), SCORING).notes)
    assert "at least 20 mm³" in words and "above 0.1" in words and "above 0.5" in words


def test_studies_in_which_nothing_is_predicted_are_counted_by_model():
    by_study, by_slice = score_frames()
    by_study["nothing_predicted"] = 0.0
    silent = by_study["study"].isin(["study_0001", "study_0002"]) & (by_study["model"] == "unet")
    by_study.loc[silent & (by_study["seed"] == 0), "nothing_predicted"] = 1.0
    notes = metric_means(compare_models(by_study, by_slice, LABELS, resamples=100), SCORING).notes
    assert any(note.endswith("Studies with such a prediction: U-Net (2).") for note in notes)
    notes = metric_means(comparison_of(nothing_predicted=0.0), SCORING).notes
    assert any(note.endswith("Studies with such a prediction: none.") for note in notes)


def test_studies_without_lesion_have_columns_only_where_there_are_some():
    with_lesion = metric_means(comparison_of(false_positive_ml=math.nan, any_false_positive=math.nan), SCORING)
    assert not any("positive" in header for header in with_lesion.shown)
    by_study, by_slice = score_frames()
    empty = by_study["study"].isin(["study_0001", "study_0002"])
    by_study["any_false_positive"] = by_study["false_positive_ml"] = math.nan
    by_study.loc[empty, "any_false_positive"] = (by_study.loc[empty, "study"] == "study_0001").astype(float)
    by_study.loc[empty, "false_positive_ml"] = 3.0
    table = metric_means(compare_models(by_study, by_slice, LABELS, resamples=100), SCORING)
    assert table.shown["Any false positive ↓"].tolist() == ["0.50", "0.50"]
    assert table.shown["False positive (ml) ↓"].tolist() == ["3.0", "3.0"]
    assert any("predicted in 2 studies without lesion" in note for note in table.notes)


def test_the_foot_counts_the_dropped_components_of_the_references_once():
    table = lesion_means(comparison_of(lesions_reference=3.0, lesions_dropped=1.0), SCORING)
    assert any(
        "have 30 of them and 10 smaller components (25\u00a0% of all), which are dropped" in x for x in table.notes
    )


def test_a_signed_difference_has_its_sign_and_undefined_studies_are_counted():
    shown = volume_means(comparison_of(volume_difference_ml=2.5, absolute_volume_difference_ml=2.5)).shown
    assert shown["Volume difference (ml)"].tolist() == ["+2.5", "+2.5"]
    assert shown["Absolute volume difference (ml) ↓"].tolist() == ["2.5", "2.5"]
    table = metric_means(comparison_of(), SCORING)
    assert table.shown["HD95 (mm) ↓"].tolist() == ["20.0 (1)", "20.0 (1)"]
    assert table.data["hd95_mm"].tolist() == pytest.approx([20, 20])
