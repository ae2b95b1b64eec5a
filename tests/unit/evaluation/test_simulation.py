"""The made-up Dice has the mean that is said, and the coverage that tables state is that of their interval."""

import math

import numpy as np
import pytest

from lesionbench.evaluation.simulation import MEAN_DICE, coverage_of_mean, dice_at
from lesionbench.evaluation.statistics import dice_interval, over_patients


def test_the_scores_are_like_those_of_the_papers_models():
    dice = dice_at(np.random.default_rng(0).random((20_000, 10)))
    assert dice.mean() == pytest.approx(MEAN_DICE, abs=0.001) and pytest.approx(0.6, abs=0.005) == MEAN_DICE
    assert dice.max(axis=1).mean() == pytest.approx(0.82, abs=0.01)
    assert dice.std() == pytest.approx(0.19, abs=0.005) and np.mean(dice < 0.1) == pytest.approx(0.03, abs=0.005)
    assert dice_at(np.array([0.0, 1.0])).tolist() == [0, 1]


def test_the_stated_coverage_is_that_of_other_draws():
    values = dice_at(np.random.default_rng(1).random((20_000, 10)))
    low, high = dice_interval([over_patients(values)])
    assert coverage_of_mean(10) == pytest.approx(np.mean((low <= MEAN_DICE) & (high >= MEAN_DICE)), abs=0.007)
    assert coverage_of_mean(10) >= 0.92 and coverage_of_mean(20) >= 0.93 and coverage_of_mean(50) >= 0.93


def test_one_patient_has_no_coverage_and_very_many_take_no_time():
    assert math.isnan(coverage_of_mean(1)) and coverage_of_mean(10**9) == coverage_of_mean(1000)
