"""Validation is of whole studies, and patience counts from the best epoch."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lesionbench.data.slices import load_stack
from lesionbench.training.batches import load_slices
from lesionbench.training.early_stopping import best_epoch, patience_left, validate
from tiny import PAD, PREPROCESSING, RECIPE, by_study, write_stack

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("losses", "best", "left"), [([], None, 3), ([0.5], 1, 3), ([0.5, 0.6, 0.5], 1, 1), ([0.5, 0.6, 0.4], 3, 3)]
)
def test_patience_counts_epochs_since_the_best(losses, best, left):
    history = [{"validation_loss": loss} for loss in losses]
    assert patience_left(history, 3) == left
    assert not losses or best_epoch(history) == best


def test_the_best_epoch_by_dice_is_the_first_of_the_highest_and_undefined_is_worst():
    dice = [math.nan, 0.2, 0.6, 0.6, math.nan]
    history = [{"validation_loss": 0.5 - 0.1 * row, "validation_dice": value} for row, value in enumerate(dice)]
    assert best_epoch(history, "dice") == 3 and best_epoch(history, "loss") == 5
    assert patience_left(history, 4, "dice") == 2
    assert best_epoch(history[:1], "dice") == 1


def test_validation_is_of_volumes_and_leaves_padding_out(tmp_path):
    paths = [write_stack(tmp_path, 1, (20, 30, 5)), write_stack(tmp_path, 2, (33, 17, 4))]
    slices = load_slices(by_study(paths), PAD, PREPROCESSING, CPU, 1e9)
    loss, dice = validate(lambda image: 4 * image + 1, slices, RECIPE, lambda: None, lambda _: None)
    losses, scores = [], []
    for path in paths:
        stack = load_stack(path)
        probability, mask = 1 / (1 + np.exp(-4 * stack.image / 1000 - 1)), stack.mask.astype(float)
        predicted = probability >= 0.5
        losses.append(1 - (2 * (probability * mask).sum() + 1) / (probability.sum() + mask.sum() + 1))
        scores.append(2 * (predicted * mask).sum() / (predicted.sum() + mask.sum()))
    assert (loss, dice) == pytest.approx((np.mean(losses), np.mean(scores)), rel=1e-5)


def test_studies_without_lesion_and_prediction_do_not_count_in_the_dice(tmp_path):
    paths = [write_stack(tmp_path, seed) for seed in (1, 2)]
    slices = load_slices(by_study(paths), PAD, PREPROCESSING, CPU, 1e9)
    masks = slices.buckets[0].masks
    masks[:9] = 0
    perfect = 40 * (masks[:, None].float() - 0.5)
    at_once = replace(RECIPE, batch_size=len(slices))
    assert validate(lambda image: perfect, slices, at_once, lambda: None, lambda _: None)[1] == 1
    masks[:] = 0
    assert math.isnan(validate(lambda image: image - 9, slices, RECIPE, lambda: None, lambda _: None)[1])
