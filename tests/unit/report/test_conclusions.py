"""Words about a comparison: no winner inside the noise, and none where there are too few studies."""

import numpy as np
import pandas as pd
from scipy import stats

from lesionbench.evaluation.comparison import compare_models
from lesionbench.evaluation.statistics import studies_for
from lesionbench.report.conclusions import conclusions
from lesionbench.report.tables import format_number
from scored import simulate

LABELS = {"a": "Model A", "b": "Model B", "c": "Model C", "d": "Model D"}


def conclude(*trainings, patients=None, folds=1):
    """The conclusions of a comparison in which models have this Dice in each study, a frame a training."""
    by_seed = [
        dice.rename_axis(index="study")
        .melt(ignore_index=False, var_name="model", value_name="dice")
        .reset_index()
        .assign(seed=seed)
        for seed, dice in enumerate(trainings)
    ]
    studies = pd.concat(by_seed).assign(reference_ml=9.0, predicted_ml=9.0)
    studies["fold"] = studies["study"] % folds
    slices = studies.assign(slice=0, reference_voxels=9, predicted_voxels=9)
    labels = {name: LABELS[name] for name in trainings[0]}
    comparison = compare_models(studies, slices, labels, (), 500, patients, 1 / max(1, folds - 1))
    return " ".join(conclusions(comparison))


def retrained(studies, effects, deviation, count=3, seed=0):
    """The Dice of `count` trainings of models, whose means vary with this SD."""
    rng = np.random.default_rng(seed)
    dice = simulate(studies, effects, rng)
    luck = rng.normal(0, deviation, (count, 1, len(effects)))
    return [dice + one + rng.normal(0, 0.005, dice.shape) for one in luck]


def test_no_model_is_called_best_inside_the_noise():
    text = conclude(simulate(10, [0.01, 0, 0, 0], np.random.default_rng(5)))
    assert text.startswith("No model can be called the best")
    assert "no proof that models are equal" in text
    assert "beyond chance" not in text


def test_below_fifty_studies_a_winner_usually_scores_higher_and_has_no_higher_mean():
    text = conclude(simulate(20, [0, 0.1, 0, 0], np.random.default_rng(6)))
    assert text.startswith("Model B (")
    assert "scores higher in most studies than Model A, Model C and Model D" in text
    assert "fewer than 50 studies rare failures can go unseen" in text and "higher mean Dice" not in text
    assert "Model B first in 100\u00a0%" in text and "no probabilities" in text


def test_from_fifty_studies_on_a_clear_winner_has_a_higher_mean():
    text = conclude(simulate(50, [0, 0.1, 0, 0], np.random.default_rng(6)))
    assert "has a higher mean Dice than Model A, Model C and Model D" in text
    assert "rare failures" not in text and "most studies" not in text


def test_one_training_may_be_reversed_by_another():
    text = conclude(simulate(50, [0, 0.1], np.random.default_rng(6)))
    assert "one training, or one set of masks, of each model: another training may reverse this" in text
    assert "in the training" not in text


def test_several_trainings_are_part_of_the_chance():
    text = conclude(*retrained(50, [0, 0.1], 0.003))
    assert "beyond chance in the choice of patients and in the training" in text and "may reverse" not in text


def test_networks_that_differ_by_their_trainings_luck_alone_are_told_apart_from_their_recipes():
    text = conclude(*retrained(50, [0, 0.03], 0.03, seed=1))
    assert text.startswith("No model can be called the best")
    assert "as they were trained do score higher than those of" in text and "trained again, they need not" in text


def test_the_folds_of_a_cross_validation_are_part_of_the_chance():
    text = conclude(simulate(50, [0, 0.1], np.random.default_rng(6)), folds=5)
    assert "in the choice of patients and in the training" in text and "may reverse" not in text


def test_patients_are_counted_and_not_their_scans():
    patients = {number: f"patient_{number // 2}" for number in range(40)}
    text = conclude(simulate(40, [0, 0.2], np.random.default_rng(6)), patients=patients)
    assert "scores higher in most patients" in text and "Drawing the patients again" in text
    assert "5 patients" in conclude(simulate(10, [0, 0.2], np.random.default_rng(6)), patients=patients)


def test_a_loser_is_named_without_a_winner():
    text = conclude(simulate(20, [0.101, 0.1, 0.1, 0], np.random.default_rng(7)))
    assert text.startswith("No model can be called the best")
    assert "does score higher in most studies than Model D, beyond chance" in text


def test_an_interval_without_zero_and_without_a_claim_has_its_reason():
    dice = simulate(20, [0, 0, 0, 0], np.random.default_rng(9))
    # A t of 2.3 for this pair alone.
    gain = 0.02 + 0.04 * stats.norm.ppf((np.random.default_rng(0).permutation(20) + 0.5) / 20)
    text = conclude(dice.assign(b=dice["a"] + gain))
    assert "leaves out zero without a claim" in text and "corrected for all 6 comparisons" in text


def test_what_the_interval_allows_and_what_a_difference_takes_are_told():
    dice = simulate(50, [0, 0], np.random.default_rng(9))
    text = conclude(dice)
    low, high = stats.ttest_rel(dice["a"], dice["b"]).confidence_interval()
    allowed = f"{format_number(low, signed=True)} to {format_number(high, signed=True)}"
    assert f"still allows {allowed}: this is no proof" in text
    spread = (dice["a"] - dice["b"]).std()
    assert f"of 0.05 takes {studies_for(0.05, spread):.0f} studies" in text
    assert f"one of 0.02 takes {studies_for(0.02, spread):.0f} (chance 80" in text


def test_too_few_studies_conclude_nothing():
    text = conclude(simulate(3, [0.2, 0, 0, 0], np.random.default_rng(8)))
    assert "no difference can be shown" in text
    assert "at least 8" in text
    assert "nothing to compare" in conclude(pd.DataFrame({"a": [0.5] * 10}))


def test_models_of_the_same_dice_are_named_and_no_difference_of_nothing_is_told():
    dice = simulate(10, [0, 0], np.random.default_rng(9))
    same = conclude(dice.assign(b=dice["a"]))
    assert "Model A and Model B have the same Dice in each study" in same
    assert "still allows" not in same and "takes" not in same
    near = conclude(dice.assign(b=dice["a"] + np.linspace(-1e-5, 1e-5, 10)))
    assert "the same Dice in each" not in near
