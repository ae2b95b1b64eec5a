"""Random changes of a batch, drawn for each slice, on the batch's device.

`light`: flips, small rotations and scalings, and a shift of the intensities. `strong`: the transforms of nnU-Net with
its probabilities and ranges (Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z; the program's version 2,
`nnUNetTrainer.get_training_transforms`), and elastic deformations, which its first version had.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from lesionbench.training.batches import Batch, SliceSet
from lesionbench.training.distortion import chosen_slices, distort

FLIP_PROBABILITY = 0.5  # for each of the two axes
ROTATION = math.radians(10)
SCALING = 0.1
SHIFT = 0.05  # of hu_scale: 50 HU with the default of 1000

STRONG_PROBABILITY = 0.2  # of a rotation, of a scaling and of a deformation, each
STRONG_ROTATION = math.pi
STRONG_SCALING = (0.7, 1.4)
CONTROL_POINTS = 8  # along each side of a slice
DISPLACEMENT = 0.01  # standard deviation of a control point's, as a share of the side


def augment(batch: Batch, slices: SliceSet, strength: str, random: torch.Generator) -> Batch:
    """Return a batch of the same shape, with each slice transformed at random, its image, mask and padding alike.

    The image is interpolated linearly, mask and padding by the nearest neighbour. Rotations are rotations in mm, also
    where rows and columns are spaced differently. What comes in from outside is air; values stay in the HU window.
    All channels of a slice are moved and distorted alike.
    """
    return {"light": _light, "strong": _strong}[strength](batch, slices, random)


def _light(batch: Batch, slices: SliceSet, random: torch.Generator) -> Batch:
    draws = torch.rand((len(batch.image), 5), generator=random)
    draws[:, :2] = _flips(draws[:, :2])
    draws[:, 2:] = (2 * draws[:, 2:] - 1) * torch.tensor([ROTATION, SCALING, SHIFT])
    # Drawn on the CPU, the same for every device; sent without waiting for it.
    flips, angle, scaling, shift = draws.to(batch.image.device, non_blocking=True).split([2, 1, 1, 1], dim=1)
    moved = _moved(batch, slices, _grid(batch, slices, flips, angle[:, 0], 1 + scaling[:, 0]))
    air, highest = slices.preprocessing.window
    return moved._replace(image=(moved.image + shift[:, :, None, None]).clamp_(air, highest))


def _strong(batch: Batch, slices: SliceSet, random: torch.Generator) -> Batch:
    count, device = len(batch.image), batch.image.device
    draws = torch.rand((count, 7), generator=random)
    draws[:, :2] = _flips(draws[:, :2])
    low, high = STRONG_SCALING
    draws[:, 2] = torch.where(draws[:, 5] < STRONG_PROBABILITY, (2 * draws[:, 2] - 1) * STRONG_ROTATION, 0.0)
    draws[:, 3] = torch.where(draws[:, 6] < STRONG_PROBABILITY, low + (high - low) * draws[:, 3], 1.0)
    draws[:, 4] = (2 * draws[:, 4] - 1) * SHIFT
    flips, angle, scale, shift, _ = draws.to(device, non_blocking=True).split([2, 1, 1, 1, 2], dim=1)
    grid = _grid(batch, slices, flips, angle[:, 0], scale[:, 0])
    bent = chosen_slices(STRONG_PROBABILITY, count, random).to(device, non_blocking=True)
    if len(bent):
        grid.index_add_(0, bent, _displacements(len(bent), grid, random))
    moved = _moved(batch, slices, grid)
    air, highest = slices.preprocessing.window
    share = (moved.image + shift[:, :, None, None] - air).div_(highest - air).clamp_(0, 1)
    return moved._replace(image=distort(share, random).mul_(highest - air).add_(air))


def _flips(draws: Tensor) -> Tensor:
    """Return −1 where an axis is flipped and 1 elsewhere, from draws between 0 and 1."""
    return torch.where(draws < FLIP_PROBABILITY, -1.0, 1.0)


def _grid(batch: Batch, slices: SliceSet, flips: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Return where each pixel comes from (batch, height, width, 2), as `grid_sample` wants it."""
    matrices = _inverse(flips, angle, scale, _aspect(batch, slices))
    return affine_grid(matrices, list(batch.image.shape), align_corners=False)


def _displacements(count: int, grid: Tensor, random: torch.Generator) -> Tensor:
    """Return smooth random displacements (count, height, width, 2) in the grid's units, in which a side has length 2.

    Of each control point one is drawn; between them cubic interpolation makes them smooth.
    """
    size = (count, 2, CONTROL_POINTS, CONTROL_POINTS)
    points = (2 * DISPLACEMENT * torch.randn(size, generator=random)).to(grid.device, non_blocking=True)
    height, width = grid.shape[1:3]
    return interpolate(points, (height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def _moved(batch: Batch, slices: SliceSet, grid: Tensor) -> Batch:
    air, _ = slices.preprocessing.window
    image = grid_sample(batch.image - air, grid, mode="bilinear", align_corners=False) + air
    target = grid_sample(batch.target, grid, mode="nearest", align_corners=False)
    valid = batch.valid
    if valid is not None:
        valid = grid_sample((~valid).float(), grid, mode="nearest", align_corners=False) < 0.5
    return batch._replace(image=image, target=target, valid=valid)


def _aspect(batch: Batch, slices: SliceSet) -> Tensor:
    """Return height over width (batch,) of the padded slices, both in mm."""
    height, width = batch.image.shape[2:]
    row, column = slices.spacing[batch.indices].unbind(1)
    return height * row / (width * column)


def _inverse(flips: Tensor, angle: Tensor, scale: Tensor, aspect: Tensor) -> Tensor:
    """Return matrices (batch, 2, 3) from output to input positions, in halves of the width and of the height."""
    cos, sin, zero = torch.cos(angle) / scale, torch.sin(angle) / scale, torch.zeros_like(angle)
    x = torch.stack([cos, -sin * aspect, zero], dim=1) * flips[:, :1]
    y = torch.stack([sin / aspect, cos, zero], dim=1) * flips[:, 1:]
    return torch.stack([x, y], dim=1)
