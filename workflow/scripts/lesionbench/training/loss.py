"""Losses of a batch of slices, from logits, always in float32.

Sums over a batch exceed what bfloat16 can count: above 256 it cannot represent every whole number.
"""

from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

EPSILON = 1.0


def dice_loss(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None = None, epsilon: float = EPSILON
) -> torch.Tensor:
    """Return the soft Dice loss over all pixels of the batch (paper, section 5.2).

    1 − (2 Σ p t + ε) / (Σ p + Σ t + ε), p = sigmoid(logits). ε stands above and below the line, so that a batch without
    lesion costs Σ p / (Σ p + ε) and still pushes false positives down.

    Parameters
    ----------
    logits, target
        (batch, 1, height, width); target is 0 or 1, of any type.
    valid
        1 or True for pixels that count, 0 or False for padding; any shape that broadcasts to that of `logits`.
    """
    probability, lesion = logits.float().sigmoid(), target.float()
    if valid is not None:
        probability, lesion = probability * valid, lesion * valid
    overlap = (probability * lesion).sum()
    return 1 - (2 * overlap + epsilon) / (probability.sum() + lesion.sum() + epsilon)


def dice_ce_loss(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Return the Dice loss plus the binary cross-entropy, the latter averaged over the pixels that count.

    Parameters are those of `dice_loss`.
    """
    logits = logits.float()
    weight = torch.ones_like(logits) if valid is None else valid.expand_as(logits).float()
    cross_entropy = binary_cross_entropy_with_logits(logits, target.float(), weight, reduction="sum") / weight.sum()
    return dice_loss(logits, target, valid) + cross_entropy


def find_loss(name: str) -> Callable[..., torch.Tensor]:
    """Return the loss that `training.loss` names: the function `{name}_loss` of this module."""
    loss: Callable[..., torch.Tensor] = globals()[f"{name}_loss"]
    return loss
