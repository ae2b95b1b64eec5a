"""How well a model does on whole studies while it trains."""

from collections.abc import Callable

import torch
from torch import Tensor

from lesionbench.training.batches import SliceSet, batches
from lesionbench.training.loss import EPSILON

THRESHOLD = 0.5


@torch.inference_mode()
def validate(
    forward: Callable[[Tensor], Tensor],
    slices: SliceSet,
    batch_size: int,
    amp: torch.autocast,
    stop_if_asked: Callable[[], None],
) -> tuple[float, float]:
    """Return the validation loss and the validation Dice, each of a study's volume and averaged over the studies.

    The loss is the soft Dice loss of `loss.dice_loss`. The Dice is that of the mask at 0.5, averaged over the studies
    with lesion in the reference or the prediction; NaN where there is none.
    """
    sums = torch.zeros((len(slices), 5), device=slices.device)
    for batch in batches(slices, torch.arange(len(slices)), batch_size):
        stop_if_asked()
        with amp:
            logits = forward(batch.image)
        probability, target = logits.float().sigmoid(), batch.target
        if batch.valid is not None:
            probability = probability * batch.valid
        predicted = (probability >= THRESHOLD).float()
        terms = (probability * target, probability, target, predicted * target, predicted)
        sums[batch.indices] = torch.stack([term.sum(dim=(1, 2, 3)) for term in terms], dim=1)
    studies = torch.zeros((len(slices.studies), 5), dtype=torch.float64).index_add_(
        0, slices.study, sums.cpu().double()
    )
    soft_overlap, probability, target, overlap, predicted = studies.unbind(dim=1)
    losses = 1 - (2 * soft_overlap + EPSILON) / (probability + target + EPSILON)
    dice = 2 * overlap / (predicted + target)
    return losses.mean().item(), dice.nanmean().item()
