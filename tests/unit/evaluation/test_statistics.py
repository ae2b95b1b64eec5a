"""The statistics hold what they promise: hand-computed cases, invariances, and simulated coverage and error rates."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lesionbench.evaluation.statistics import (
    compare_pairs,
    fewest_studies,
    holm,
    limits_of_agreement,
    mean_interval,
    rank_distribution,
    signed_rank_p,
    smallest_detectable,
    studies_needed,
)
from scored import simulate


def test_interval_is_refused_where_resampling_cannot_reach_the_confidence():
    assert fewest_studies(0.95) == 6
    assert np.isnan(mean_interval([0.1, 0.5, 0.7, 0.2, 0.9])).all()
    assert np.isfinite(mean_interval([0.1, 0.5, 0.7, 0.2, 0.9, 0.4])).all()
    assert np.isnan(mean_interval([])).all()


def test_interval_leaves_out_undefined_values_and_has_no_width_for_equal_ones():
    values = [0.1, 0.5, 0.7, 0.2, 0.9, 0.4]
    np.testing.assert_array_equal(mean_interval([math.nan, *values]), mean_interval(values))
    np.testing.assert_array_equal(mean_interval([0.25] * 8), [0.25, 0.25])


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5))
def test_interval_holds_the_mean_and_follows_shift_and_scale(seed, scale, shift):
    values = np.random.default_rng(seed).beta(4, 3, 12)
    low, high = mean_interval(values, resamples=300)
    assert low < values.mean() < high
    np.testing.assert_allclose(
        mean_interval(scale * values + shift, resamples=300), [scale * low + shift, scale * high + shift]
    )


@pytest.mark.parametrize("studies, lowest", [(10, 0.86), (30, 0.91)])
def test_intervals_cover_the_true_mean_at_about_their_nominal_rate(studies, lowest):
    rng = np.random.default_rng(0)
    truth, repetitions, covered = 6 / 10, 500, 0
    for _ in range(repetitions):
        low, high = mean_interval(rng.beta(6, 4, studies), resamples=500)
        covered += low <= truth <= high
    assert lowest < covered / repetitions < 0.98


def test_signed_rank_p_by_hand():
    assert signed_rank_p([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 2**6)
    assert signed_rank_p([1, 2, 3, 4, 5, 6, 0, math.nan]) == pytest.approx(2 / 2**6)
    assert signed_rank_p([-1, 2, 3, 4, 5, 6]) == pytest.approx(4 / 2**6)
    assert signed_rank_p([0, 0, 0]) == 1
    assert math.isnan(signed_rank_p([]))


def test_limits_of_agreement_hold_95_percent_of_normal_differences():
    assert limits_of_agreement([-1, 1] * 3) == pytest.approx(
        (0, -1.959964 * math.sqrt(6 / 5), 1.959964 * math.sqrt(6 / 5))
    )
    differences = np.random.default_rng(0).normal(2, 3, 20_000)
    mean, low, high = limits_of_agreement(differences)
    assert mean == pytest.approx(2, abs=0.1)
    assert np.mean((differences > low) & (differences < high)) == pytest.approx(0.95, abs=0.005)
    assert np.isnan(limits_of_agreement([1, 2, 3, 4, 5, math.nan])).all()


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, math.nan, 0.6]), [1, math.nan, 1])
    assert holm([]).size == 0


def test_smallest_detectable_difference_is_found_with_the_stated_power():
    differences = np.random.default_rng(1).normal(0, 0.03, 10)
    effect = smallest_detectable(differences, alpha=0.01, power=0.9)
    noncentrality = effect / (differences.std(ddof=1) / math.sqrt(10))
    assert stats.nct.sf(stats.t.ppf(0.995, 9), 9, noncentrality) == pytest.approx(0.9)
    assert math.isnan(smallest_detectable([0.1])) and math.isnan(smallest_detectable([0.1, 0.1, 0.1]))


def test_pairs_are_compared_on_the_studies_that_both_have():
    scores = pd.DataFrame({"a": [0.5, 0.6, 0.7, math.nan], "b": [0.4, 0.6, 0.9, 0.8]})
    pair = compare_pairs(scores).iloc[0]
    assert (pair["first"], pair["second"], pair["studies"]) == ("a", "b", 3)
    assert pair["difference"] == pytest.approx((0.1 + 0 - 0.2) / 3)
    assert (pair["wins"], pair["ties"], pair["losses"]) == (1, 1, 1)
    assert math.isnan(pair["low"])
    assert not pair["different"]


def test_equal_means_over_seeds_are_a_tie_whatever_the_order_of_summation():
    scores = pd.DataFrame({"a": [(0.1 + 0.2) + 0.3] * 6, "b": [0.1 + (0.2 + 0.3)] * 6})
    pair = compare_pairs(scores).iloc[0]
    assert pair["ties"] == 6
    assert pair["p"] == 1


def test_one_model_has_no_pairs():
    assert compare_pairs(pd.DataFrame({"a": [0.1, 0.2]})).empty


def test_equal_models_are_rarely_told_apart_and_different_ones_often():
    rng = np.random.default_rng(2)
    repetitions = 100
    false_alarms = sum(
        compare_pairs(simulate(10, [0] * 4, rng), resamples=300)["different"].any() for _ in range(repetitions)
    )
    found = sum(compare_pairs(simulate(10, [0.1, 0], rng), resamples=300)["different"].all() for _ in range(30))
    assert false_alarms / repetitions <= 0.08
    assert found >= 28


def test_rank_distribution_is_a_distribution_over_models_and_ranks():
    ranks = rank_distribution(simulate(10, [0.03, 0.02, 0.01, 0], np.random.default_rng(3)), resamples=1000)
    np.testing.assert_allclose(ranks.sum(axis=0), 1)
    np.testing.assert_allclose(ranks.sum(axis=1), 1)


def test_equal_models_share_the_first_rank_and_a_worse_one_never_has_it():
    scores = np.random.default_rng(4).uniform(0.5, 0.9, 10)
    first = rank_distribution(pd.DataFrame({"a": scores, "b": scores, "c": scores - 0.1}), resamples=4000)[1]
    assert first["a"] == pytest.approx(0.5, abs=0.03)
    assert first["c"] == 0


def test_ranks_of_too_few_studies_are_undefined():
    assert rank_distribution(pd.DataFrame({"a": [0.1] * 5, "b": [0.2] * 5})).isna().all(axis=None)


@pytest.mark.parametrize("pairs", [1, 6, 190])
def test_the_studies_needed_are_the_first_with_which_a_test_can_succeed(pairs):
    needed = studies_needed(pairs)
    assert signed_rank_p(np.arange(1, needed + 1)) * pairs < 0.05
    assert signed_rank_p(np.arange(1, needed)) * pairs >= 0.05
