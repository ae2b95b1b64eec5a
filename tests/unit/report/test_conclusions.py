"""Words about a comparison: no winner inside the noise, and none where there are too few studies."""

import numpy as np
import pandas as pd

from lesionbench.evaluation.comparison import compare_models
from lesionbench.report.conclusions import conclusions
from scored import simulate

LABELS = {"a": "Model A", "b": "Model B", "c": "Model C", "d": "Model D"}


def conclude(dice):
    """The conclusions of a comparison in which models have this Dice in each study."""
    studies = (
        dice.rename_axis(index="study").melt(ignore_index=False, var_name="model", value_name="dice").reset_index()
    )
    studies = studies.assign(fold=0, seed=0)
    slices = studies.assign(slice=0, reference_voxels=9, predicted_voxels=9)
    return " ".join(conclusions(compare_models(studies, slices, {name: LABELS[name] for name in dice}, resamples=500)))


def test_no_model_is_called_best_inside_the_noise():
    text = conclude(simulate(10, [0.01, 0, 0, 0], np.random.default_rng(5)))
    assert text.startswith("No model can be called the best")
    assert "no proof that models are equal" in text
    assert "beyond chance" not in text


def test_a_clear_winner_is_named():
    text = conclude(simulate(20, [0, 0.1, 0, 0], np.random.default_rng(6)))
    assert text.startswith("Model B (")
    assert "higher mean Dice than Model A, Model C and Model D" in text
    assert "Model B first in 100\u00a0%" in text


def test_a_loser_is_named_without_a_winner():
    text = conclude(simulate(20, [0.101, 0.1, 0.1, 0], np.random.default_rng(7)))
    assert text.startswith("No model can be called the best")
    assert "does score higher than Model D, beyond chance" in text


def test_too_few_studies_conclude_nothing():
    text = conclude(simulate(3, [0.2, 0, 0, 0], np.random.default_rng(8)))
    assert "no difference can be shown" in text
    assert "at least 8 studies" in text
    assert "nothing to compare" in conclude(pd.DataFrame({"a": [0.5] * 10}))


def test_models_of_the_same_dice_are_named_and_no_difference_of_nothing_is_told():
    dice = simulate(10, [0, 0], np.random.default_rng(9))
    same = conclude(dice.assign(b=dice["a"]))
    assert "Model A and Model B have the same Dice in each study" in same
    assert "A true difference" not in same and "0.000" not in same
    near = conclude(dice.assign(b=dice["a"] + np.linspace(-1e-5, 1e-5, 10)))
    assert "the same Dice in each" not in near and "smaller than 0.000007 had" in near
