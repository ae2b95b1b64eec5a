"""The recipe is the paper's where nothing else is said, and is the same after a record."""

import json
from dataclasses import asdict

import pytest

from lesionbench.training.loss import find_loss
from lesionbench.training.recipe import Recipe


def test_the_default_is_the_papers():
    recipe = Recipe()
    assert (recipe.learning_rate, recipe.patience, recipe.augmentation) == (1e-4, 5, "none")  # section 6.2
    assert find_loss(recipe.loss).__name__ == "dice_loss"  # section 5.2


def test_a_recipe_comes_back_from_a_record():
    recipe = Recipe(batch_size=3, learning_rate=1e-3, loss="dice_ce", device="cuda:1")
    assert Recipe(**json.loads(json.dumps(asdict(recipe)))) == recipe


def test_a_misspelt_key_is_refused():
    with pytest.raises(TypeError, match="learnig_rate"):
        Recipe(learnig_rate=1e-3)
