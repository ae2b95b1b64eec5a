"""The statistics hold what they promise: hand-computed cases, invariances, and simulated coverage and error rates."""

import math

import numpy as np
import pandas as pd
import pytest
from benchmarks.statistics import cross_validate, draw_scores, drawing, error_rates, fail_rarely
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lesionbench.evaluation.simulation import MEAN_DICE, dice_at
from lesionbench.evaluation.statistics import (
    PAIR_COLUMNS,
    Folds,
    compare_pairs,
    dice_interval,
    fewest_studies,
    holm,
    limits_of_agreement,
    over_folds,
    over_patients,
    over_trainings,
    rank_distribution,
    signed_rank_p,
    studies_for,
    studies_needed,
    training_spread,
)
from scored import one_training, simulate


def interval_of_mean(values):
    return dice_interval([over_patients(np.asarray(values))])


def test_an_interval_needs_two_patients_and_stays_within_0_and_1():
    assert np.isnan(interval_of_mean([0.5])).all() and np.isnan(interval_of_mean([])).all()
    low, high = interval_of_mean([0.01, 0.98])
    assert 0 < low < 0.495 < high < 1
    np.testing.assert_allclose(interval_of_mean([0.25] * 8), [0.25, 0.25])
    np.testing.assert_array_equal(interval_of_mean([1.0] * 8), [1, 1])


def test_the_interval_of_a_mean_by_hand():
    values = np.array([0.2, 0.4, 0.6, 0.8])
    error = values.std(ddof=1) / 2 / 0.25
    reach = stats.t.ppf(0.975, 3) * error
    np.testing.assert_allclose(interval_of_mean(values), [1 / (1 + math.exp(reach)), 1 / (1 + math.exp(-reach))])


@given(st.integers(0, 1000))
def test_the_interval_of_a_mean_does_not_care_which_class_is_counted(seed):
    values = np.random.default_rng(seed).beta(4, 3, 12)
    low, high = interval_of_mean(values)
    assert low < values.mean() < high
    np.testing.assert_allclose(interval_of_mean(1 - values), [1 - high, 1 - low])


@pytest.mark.parametrize(("patients", "lowest"), [(2, 0.93), (6, 0.92), (10, 0.92), (20, 0.93), (50, 0.93)])
def test_intervals_cover_the_mean_of_skewed_scores(patients, lowest):
    values = dice_at(np.random.default_rng(0).random((20_000, patients)))
    low, high = dice_interval([over_patients(values)])
    assert lowest <= np.mean((low <= MEAN_DICE) & (high >= MEAN_DICE)) <= 0.97


def test_signed_rank_p_by_hand():
    assert signed_rank_p([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 2**6)
    assert signed_rank_p([1, 2, 3, 4, 5, 6, 0]) == pytest.approx(2 / 2**6)
    assert signed_rank_p([-1, 2, 3, 4, 5, 6]) == pytest.approx(4 / 2**6)
    assert signed_rank_p([0, 0, 0]) == 1
    assert math.isnan(signed_rank_p([]))


def test_signed_rank_p_of_many_is_that_of_each():
    rows = np.random.default_rng(0).normal(size=(6, 9))
    rows[1, :3], rows[2], rows[3, 1] = 0, 0, -rows[3, 0]
    expected = [1 if not row.any() else stats.wilcoxon(row[row != 0]).pvalue for row in rows]
    np.testing.assert_allclose(signed_rank_p(rows.reshape(2, 3, 9)).ravel(), expected)


def test_limits_of_agreement_hold_95_percent_of_normal_differences():
    assert limits_of_agreement([-1, 1] * 3) == pytest.approx(
        (0, -1.959964 * math.sqrt(6 / 5), 1.959964 * math.sqrt(6 / 5))
    )
    differences = np.random.default_rng(0).normal(2, 3, 20_000)
    mean, low, high = limits_of_agreement(differences)
    assert mean == pytest.approx(2, abs=0.1)
    assert np.mean((differences > low) & (differences < high)) == pytest.approx(0.95, abs=0.005)
    assert fewest_studies(0.95) == 6
    assert np.isnan(limits_of_agreement([1, 2, 3, 4, 5, math.nan])).all()


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, math.nan, 0.6]), [1, math.nan, 1])
    np.testing.assert_allclose(holm([[0.01, 0.2], [0.04, math.nan]]), [[0.02, 0.2], [0.04, math.nan]])
    assert holm([]).size == 0


def test_the_studies_for_a_difference_are_the_fewest_with_the_power():
    for needed, count in ((studies_for(0.02, 0.06, alpha=0.01), None), (studies_for(0.05, 0.06), 14)):
        effect, alpha = (0.02, 0.01) if count is None else (0.05, 0.05)
        found = [
            stats.nct.sf(stats.t.ppf(1 - alpha / 2, n - 1), n - 1, effect * math.sqrt(n) / 0.06)
            for n in (needed - 1, needed)
        ]
        assert found[0] < 0.8 <= found[1]
        assert count is None or needed == count
    assert np.isnan(studies_for(0.05, [0, math.nan])).all()


def test_the_spread_over_trainings_is_theirs_and_not_the_patients():
    rng = np.random.default_rng(0)
    shared, noise = rng.normal(0, 0.2, (1, 2000, 40)), rng.normal(0, 0.05, (4, 2000, 40))
    luck = rng.normal(0, 0.03, (4, 2000, 1))
    spread = training_spread(shared + noise + luck)
    assert np.mean(spread.of_one) == pytest.approx(0.03**2, rel=0.05)
    assert np.mean(training_spread(shared + noise).of_one) == pytest.approx(0, abs=2e-6)
    assert training_spread(shared[:, 0]).trainings == 1


def test_the_interval_if_trained_again_covers_and_that_of_these_networks_does_not():
    scores = draw_scores(np.random.default_rng(0), 4000, 4, 50, trainings=3, deviation=0.03)[..., 0]
    spreads = [training_spread(model) for model in scores]
    values = scores[0].mean(axis=0)
    covered = []
    for estimates in ([over_patients(values)], over_trainings(values, spreads[:1], spreads)):
        low, high = dice_interval(estimates)
        covered.append(np.mean((low <= MEAN_DICE) & (high >= MEAN_DICE)))
    assert covered[0] < 0.92 and 0.94 <= covered[1] <= 0.98


def test_the_corrected_interval_of_a_cross_validation_by_hand():
    values, folds = np.array([0.1, 0.3, 0.5, 0.7]), Folds(np.array([0, 0, 1, 1]), 0.5)
    estimate = over_folds(values, folds)
    assert (estimate.mean, estimate.freedom) == (pytest.approx(0.4), 1)
    assert estimate.error == pytest.approx(math.sqrt((1 / 2 + 0.5) * np.var([0.2, 0.6], ddof=1)))
    assert np.isnan(over_folds(values, Folds(np.zeros(4), 0.5)).error)


def test_the_corrected_interval_covers_the_recipe_where_that_over_patients_does_not():
    scores, fold = cross_validate(np.random.default_rng(0), 3000, features=10, folds=5)
    truth = scores.mean()
    plain, corrected = over_patients(scores), over_folds(scores, Folds(fold, 1 / 4))
    assert np.mean(np.abs(plain.mean - truth) <= plain.reach) < 0.9
    assert np.mean(np.abs(corrected.mean - truth) <= corrected.reach) >= 0.95


@pytest.mark.parametrize(("models", "count"), [(2, 1500), (4, 1500), (20, 200)])
def test_models_that_are_exchangeable_are_rarely_told_apart(models, count):
    draw = drawing(1, models=models, patients=20)
    assert error_rates(draw, count).recipe <= 5


@pytest.mark.parametrize(("models", "trainings", "count"), [(2, 3, 1500), (4, 3, 1500), (4, 2, 1000), (20, 3, 200)])
def test_equal_recipes_that_are_trained_several_times_are_rarely_told_apart(models, trainings, count):
    draw = drawing(2, models=models, patients=50, trainings=trainings, deviation=0.01)
    rates = error_rates(draw, count)
    assert rates.recipe <= 5 and rates.networks > 10


def test_one_training_hides_its_luck():
    assert error_rates(drawing(3, models=2, patients=50, deviation=0.01), 500).recipe > 20


def test_recipes_of_unequal_luck_in_training_are_rarely_told_apart():
    rng = np.random.default_rng(4)

    def draw(count):
        scores = draw_scores(rng, count, 4, 50, trainings=3)
        return scores + np.reshape([0.005, 0.03, 0.005, 0.03], (4, 1, 1, 1, 1)) * rng.normal(size=(4, 3, count, 1, 1))

    assert error_rates(draw, 1000).recipe <= 5


@pytest.mark.parametrize("models", [2, 4])
def test_equal_models_on_twelve_patients_with_four_scans_each_are_rarely_told_apart(models):
    draw = drawing(5, models=models, patients=12, scans=4)
    assert error_rates(draw, 2000).recipe <= 5
    assert error_rates(lambda count: draw(count).reshape(models, 1, count, 48, 1), 500).recipe > 10


def test_rare_failures_seldom_become_a_claim_once_there_are_fifty_patients():
    rng = np.random.default_rng(6)
    draw = drawing(7, models=4, patients=50)
    rates = error_rates(lambda count: fail_rarely(rng, draw(count)), 500)
    assert rates.rank > 50 and rates.recipe <= 11


def test_a_difference_is_found():
    rng = np.random.default_rng(8)
    scores = draw_scores(rng, 1, 2, 50, trainings=3, deviation=0.005)[:, :, 0, :, 0]
    table = compare_pairs({"a": scores[0] + 0.1, "b": scores[1]})
    assert table.loc[0, ["different", "networks_differ"]].all() and table.loc[0, "recipe_low"] > 0
    assert list(table) == PAIR_COLUMNS


def test_pairs_by_hand():
    pair = compare_pairs({"a": np.array([[0.5, 0.6, 0.7]]), "b": np.array([[0.4, 0.6, 0.9]])}).iloc[0]
    expected = np.mean([0.1, 0, -0.2])
    assert (pair["first"], pair["second"]) == ("a", "b") and pair["difference"] == pytest.approx(expected)
    assert (pair["wins"], pair["ties"], pair["losses"]) == (1, 1, 1)
    interval = stats.t.interval(0.95, 2, expected, stats.sem([0.1, 0, -0.2]))
    np.testing.assert_allclose(pair[["low", "high"]].astype(float), interval)
    assert pair["p_mean"] == pytest.approx(stats.ttest_1samp([0.1, 0, -0.2], 0).pvalue)
    assert pair["p_holm"] == max(pair["p_mean"], pair["p_rank"]) and math.isnan(pair["p_recipe"])
    assert not pair["different"]


def test_a_pair_of_one_patient_has_a_difference_and_no_interval():
    pair = compare_pairs({"a": np.array([[0.5]]), "b": np.array([[0.4]])}).iloc[0]
    assert pair["difference"] == pytest.approx(0.1) and pair[["low", "recipe_low", "p_mean"]].isna().all()
    assert compare_pairs({"a": np.empty((1, 0)), "b": np.empty((1, 0))})["difference"].isna().all()


def test_masks_that_are_given_once_are_compared_with_what_is_trained_several_times():
    rng = np.random.default_rng(9)
    given = rng.uniform(0.5, 0.7, (1, 12))
    trained = given + rng.normal(0, 0.02, (3, 12)) + np.array([[-0.05], [0], [0.05]])
    pair = compare_pairs({"given": given, "trained": trained}).iloc[0]
    assert pair["recipe_low"] < pair["low"] and pair["high"] < pair["recipe_high"]


def test_equal_means_over_seeds_are_a_tie_whatever_the_order_of_summation():
    pair = compare_pairs(one_training(a=[(0.1 + 0.2) + 0.3] * 6, b=[0.1 + (0.2 + 0.3)] * 6)).iloc[0]
    assert pair["ties"] == 6
    assert pair["p_rank"] == pair["p_mean"] == pair["p_holm"] == 1


def test_one_model_has_no_pairs():
    assert compare_pairs(one_training(a=[0.1, 0.2])).empty


def test_rank_distribution_is_a_distribution_over_models_and_ranks():
    scores = simulate(10, [0.03, 0.02, 0.01, 0], np.random.default_rng(3))
    ranks = rank_distribution(one_training(**scores), resamples=1000)
    np.testing.assert_allclose(ranks.sum(axis=0), 1)
    np.testing.assert_allclose(ranks.sum(axis=1), 1)


def test_equal_models_share_the_first_rank_and_a_worse_one_never_has_it():
    scores = np.random.default_rng(4).uniform(0.5, 0.9, 10)
    first = rank_distribution(one_training(a=scores, b=scores, c=scores - 0.1), resamples=4000)[1]
    assert first["a"] == pytest.approx(0.5, abs=0.03)
    assert first["c"] == 0


def test_ranks_draw_trainings_too():
    scores = np.random.default_rng(5).uniform(0.5, 0.9, (1, 30))
    varied = scores + np.array([[-0.1], [0.13]])
    first = rank_distribution({"a": varied, "b": scores}, resamples=4000)[1]
    # The worse training is drawn twice in a quarter of draws.
    assert first["a"] == pytest.approx(0.75, abs=0.03)
    assert rank_distribution({"a": varied.mean(axis=0, keepdims=True), "b": scores}, resamples=500).loc["a", 1] == 1


def test_ranks_of_too_few_patients_are_undefined():
    assert rank_distribution(one_training(a=[0.1] * 5, b=[0.2] * 5)).isna().all(axis=None)


@pytest.mark.parametrize("pairs", [1, 6, 190])
def test_the_studies_needed_are_the_first_with_which_a_test_can_succeed(pairs):
    needed = studies_needed(pairs)
    assert signed_rank_p(np.arange(1, needed + 1)) * pairs < 0.05
    assert signed_rank_p(np.arange(1, needed)) * pairs >= 0.05


def test_a_table_of_pairs_has_numbers():
    table = compare_pairs(one_training(a=[0.1, 0.2, 0.3], b=[0.2, 0.1, 0.3], c=[0.2, 0.3, 0.4]))
    assert table["wins"].dtype == int and table["different"].dtype == bool and table["p_recipe"].dtype == float
    assert isinstance(table, pd.DataFrame) and len(table) == 3
