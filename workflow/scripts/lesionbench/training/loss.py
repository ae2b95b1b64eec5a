"""Losses of a batch of slices, from logits, always in float32.

Sums over a batch exceed what bfloat16 can count: above 256 it cannot represent every whole number.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

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


def deep_loss(
    loss: Callable[..., torch.Tensor],
    outputs: Sequence[torch.Tensor],
    target: torch.Tensor,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the weighted mean of a loss over logits at several sizes, the first of them a network's result.

    Target and padding take the size of the logits by the nearest neighbour. Each output weighs half as much as the one
    before it (nnU-Net; Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z).
    """
    weights = torch.tensor([0.5**depth for depth in range(len(outputs))])
    shares = (weights / weights.sum()).tolist()
    losses = [loss(logits, _sized(target, logits), _sized(valid, logits)) for logits in outputs]
    return torch.stack([share * loss for share, loss in zip(shares, losses, strict=True)]).sum()


def _sized(values: torch.Tensor | None, logits: torch.Tensor) -> torch.Tensor | None:
    """Return a target, or padding, with as many pixels as the logits."""
    size = logits.shape[2:]
    if values is None or values.shape[2:] == size:
        return values
    return interpolate(values.float(), size, mode="nearest-exact")


def find_loss(name: str) -> Callable[..., torch.Tensor]:
    """Return the loss that `training.loss` names: the function `{name}_loss` of this module."""
    loss: Callable[..., torch.Tensor] = globals()[f"{name}_loss"]
    return loss
