"""Random flips, rotations, scalings and intensity shifts of a batch, drawn for each slice, on the batch's device."""

import math

import torch
from torch.nn.functional import affine_grid, grid_sample

from lesionbench.training.batches import Batch, SliceSet

FLIP_PROBABILITY = 0.5  # for each of the two axes
ROTATION = math.radians(10)
SCALING = 0.1
SHIFT = 0.05  # of hu_scale: 50 HU with the default of 1000


def augment(batch: Batch, slices: SliceSet, random: torch.Generator) -> Batch:
    """Return a batch of the same shape, with each slice transformed at random, its image, mask and padding alike.

    The image is interpolated linearly, mask and padding by the nearest neighbour. Rotations are rotations in mm, also
    where rows and columns are spaced differently. What comes in from outside is air; values stay in the HU window.
    """
    draws = torch.rand((len(batch.image), 5), generator=random)
    draws[:, :2] = torch.where(draws[:, :2] < FLIP_PROBABILITY, -1.0, 1.0)
    draws[:, 2:] = (2 * draws[:, 2:] - 1) * torch.tensor([ROTATION, SCALING, SHIFT])
    # Drawn on the CPU, the same for every device; sent without waiting for it.
    flips, angle, scaling, shift = draws.to(batch.image.device, non_blocking=True).split([2, 1, 1, 1], dim=1)
    matrices = _inverse(flips, angle[:, 0], 1 + scaling[:, 0], _aspect(batch, slices))
    grid = affine_grid(matrices, list(batch.image.shape), align_corners=False)

    air, highest = slices.preprocessing.window
    image = grid_sample(batch.image - air, grid, mode="bilinear", align_corners=False) + air
    image = (image + shift[:, :, None, None]).clamp_(air, highest)
    target = grid_sample(batch.target, grid, mode="nearest", align_corners=False)
    valid = batch.valid
    if valid is not None:
        valid = grid_sample((~valid).float(), grid, mode="nearest", align_corners=False) < 0.5
    return batch._replace(image=image, target=target, valid=valid)


def _aspect(batch: Batch, slices: SliceSet) -> torch.Tensor:
    """Return height over width (batch,) of the padded slices, both in mm."""
    height, width = batch.image.shape[2:]
    row, column = slices.spacing[batch.indices].unbind(1)
    return height * row / (width * column)


def _inverse(flips: torch.Tensor, angle: torch.Tensor, scale: torch.Tensor, aspect: torch.Tensor) -> torch.Tensor:
    """Return matrices (batch, 2, 3) from output to input positions, in halves of the width and of the height."""
    cos, sin, zero = torch.cos(angle) / scale, torch.sin(angle) / scale, torch.zeros_like(angle)
    x = torch.stack([cos, -sin * aspect, zero], dim=1) * flips[:, :1]
    y = torch.stack([sin / aspect, cos, zero], dim=1) * flips[:, 1:]
    return torch.stack([x, y], dim=1)
