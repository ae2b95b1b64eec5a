"""What early stopping judges by: how well a network does on whole studies of the validation part."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from lesionbench.progress import Advance
from lesionbench.training.batches import SliceSet, batches
from lesionbench.training.device import autocast
from lesionbench.training.loss import EPSILON
from lesionbench.training.recipe import Recipe

THRESHOLD = 0.5


def best_epoch(history: Sequence[Mapping[str, float]], by: str = "loss") -> int:
    """Return the epoch, from 1, with the lowest validation loss or the highest validation Dice: the first of equals.

    A Dice that is not defined counts as worse than any other.
    """

    def cost(row: int) -> float:
        if by == "loss":
            return history[row]["validation_loss"]
        dice = history[row]["validation_dice"]
        return math.inf if math.isnan(dice) else -dice

    return 1 + min(range(len(history)), key=cost)


def patience_left(history: Sequence[Mapping[str, float]], patience: int, by: str = "loss") -> int:
    """Return how many more epochs may pass without a better one."""
    return patience - (len(history) - best_epoch(history, by)) if history else patience


@torch.inference_mode()
def validate(
    forward: Callable[[torch.Tensor], torch.Tensor],
    slices: SliceSet,
    recipe: Recipe,
    stop_if_asked: Callable[[], None],
    advance: Advance,
) -> tuple[float, float]:
    """Return the validation loss and the validation Dice, each of a study's volume and averaged over the studies.

    The loss is the soft Dice loss of `loss.dice_loss`, whatever the recipe's loss. The Dice is that of the mask at 0.5,
    averaged over the studies with lesion in the reference or the prediction; NaN where there is none. `advance` is told
    how many more slices are done.
    """
    amp = autocast(slices.device, recipe.precision)
    sums = torch.zeros((len(slices), 5), device=slices.device)
    for batch in batches(slices, torch.arange(len(slices)), recipe.batch_size):
        stop_if_asked()
        with amp:
            logits = forward(batch.image)
        probability, target = logits.float().sigmoid(), batch.target
        if batch.valid is not None:
            probability = probability * batch.valid
        predicted = (probability >= THRESHOLD).float()
        terms = (probability * target, probability, target, predicted * target, predicted)
        sums[batch.indices] = torch.stack([term.sum(dim=(1, 2, 3)) for term in terms], dim=1)
        advance(len(batch.indices))
    studies = torch.zeros((len(slices.studies), 5), dtype=torch.float64).index_add_(
        0, slices.study, sums.cpu().double()
    )
    soft_overlap, probability, target, overlap, predicted = studies.unbind(dim=1)
    losses = 1 - (2 * soft_overlap + EPSILON) / (probability + target + EPSILON)
    dice = 2 * overlap / (predicted + target)
    return losses.mean().item(), dice.nanmean().item()
