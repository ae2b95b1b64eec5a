"""Models are ranked by each score in its direction, and orders are compared by Kendall's τ."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from lesionbench.evaluation.rankings import RANKED, rank_correlation, rankings
from scored import compared


def comparison_of(**scores):
    """A comparison of three models on two studies with these scores of each model."""
    frames = {
        name: pd.DataFrame([values, values], ["s", "t"], ["a", "b", "c"], dtype=float)
        for name, values in scores.items()
    }
    return replace(compared(), labels={"a": "A", "b": "B", "c": "C"}, scores=frames)


def test_the_best_is_first_whether_high_or_low_is_better():
    ranks = rankings(comparison_of(dice=[0.5, 0.7, 0.6], hd95_mm=[9, 20, 4], absolute_volume_difference_ml=[1, 1, 5]))
    assert ranks["dice"].tolist() == [3, 1, 2]
    assert ranks["hd95_mm"].tolist() == [2, 3, 1]
    assert ranks["absolute_volume_difference_ml"].tolist() == [1.5, 1.5, 3]
    assert list(ranks) == ["dice", "hd95_mm", "absolute_volume_difference_ml"] and set(ranks) < set(RANKED)


def test_all_models_are_ranked_on_the_same_studies():
    comparison = comparison_of(dice=[0.5, 0.7, 0.6])
    comparison.scores["dice"].loc["t"] = [0.9, math.nan, 0.1]
    assert rankings(comparison)["dice"].tolist() == [3, 1, 2]
    comparison.scores["dice"].loc["s", "a"] = math.nan
    assert rankings(comparison).empty


def test_tau_by_hand():
    comparison = comparison_of(
        dice=[0.5, 0.6, 0.7], surface_dice=[0.1, 0.3, 0.2], hd95_mm=[1, 2, 3], lesion_f1=[1, 1, 1]
    )
    tau = rank_correlation(rankings(comparison))
    assert tau.loc["dice"].tolist() == pytest.approx([1, 1 / 3, -1, math.nan], nan_ok=True)
    assert (tau.T.fillna(9) == tau.fillna(9)).all(axis=None)
