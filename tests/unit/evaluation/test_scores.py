"""Scores are collected and averaged as said."""

import math

import numpy as np
import pandas as pd
import pytest

from lesionbench.evaluation.scores import (
    collect_scores,
    compared_studies,
    dice_by_training,
    dice_readings,
    false_positives,
    scores_by_study,
)


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


def scores_of(dice, reference=None, predicted=1.0):
    """Scores of a model "m" with two seeds on the studies a, b and c."""
    frame = pd.DataFrame({"model": "m", "seed": [0, 0, 0, 1, 1, 1], "study": ["a", "b", "c"] * 2, "dice": dice})
    return frame.assign(reference_ml=reference or 6 * [1.0], predicted_ml=predicted)


def test_seeds_are_averaged_before_studies_and_what_is_undefined_in_one_seed_has_no_mean():
    wide = scores_by_study(scores_of([0.2, 0.4, math.nan, 0.4, math.nan, math.nan]), ["m", "absent"])
    np.testing.assert_allclose(wide["m"], [0.3, math.nan, math.nan])
    assert list(wide.columns) == ["m", "absent"]
    assert wide["absent"].isna().all()


def test_a_study_without_lesion_has_no_dice_and_is_scored_apart():
    scores = scores_of([0.2, 0.0, 0.6, 0.4, math.nan, 0.8], [1, 0, 1] * 2, [9.0, 3, 9, 9, 0, 9])
    wide = scores_by_study(scores, ["m"])
    assert compared_studies(wide) == ["a", "c"] and wide["m"].isna().tolist() == [False, True, False]
    assert false_positives(scores, ["m", "absent"]).loc["m"].tolist() == [1.5, 0.5]


def test_only_studies_that_all_models_have_are_compared():
    dice = pd.DataFrame({"m": [0.1, 0.2, math.nan], "n": [0.3, math.nan, 0.4]}, index=["a", "b", "c"])
    assert compared_studies(dice) == ["a"]


def test_a_patient_counts_once_in_each_training():
    scores = scores_of([0.2, 0.4, 0.9, 0.4, 0.8, 0.1])
    found = dice_by_training(scores, ["m"], ["a", "b", "c"], {"a": "x", "b": "x", "c": "y"})
    np.testing.assert_allclose(found["m"], [[0.3, 0.9], [0.6, 0.1]])
    assert dice_by_training(scores, ["m"], [], {})["m"].shape == (1, 0)


def test_names_that_are_digits_sort_as_text_and_models_keep_the_order_of_compare():
    names = ["NA", "1e3", "10", "2", "001", "nan"]
    models = ["9", "NA", "10"]
    scores = pd.DataFrame([(model, 0, study, 0.5) for model in models for study in names])
    scores.columns = ["model", "seed", "study", "dice"]
    scores["reference_ml"] = 1.0
    wide = scores_by_study(scores, models)
    assert wide.index.tolist() == sorted(names) and wide.columns.tolist() == models
    assert list(dice_by_training(scores, models, names, dict(zip(names, names, strict=True)))) == models


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
