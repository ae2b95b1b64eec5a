"""Scores are collected and averaged as said."""

import math

import numpy as np
import pandas as pd
import pytest

from lesionbench.evaluation.scores import collect_scores, dice_readings, scores_by_study, spread_over_seeds


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


def test_names_that_are_digits_sort_as_text_and_models_keep_the_order_of_compare():
    names = ["NA", "1e3", "10", "2", "001", "nan"]
    models = ["9", "NA", "10"]
    scores = pd.DataFrame([(model, 0, study, 0.5) for model in models for study in names])
    scores.columns = ["model", "seed", "study", "dice"]
    wide = scores_by_study(scores, models)
    assert wide.index.tolist() == sorted(names) and wide.columns.tolist() == models
    assert spread_over_seeds(scores, models).index.tolist() == models


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
