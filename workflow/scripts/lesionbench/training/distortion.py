"""Random changes of intensities, as scanners and reconstructions differ: noise, blur, contrast, resolution, gamma.

Order, probabilities (for one channel) and ranges are nnU-Net's (version 2, `nnUNetTrainer.get_training_transforms`),
each on the slices that are drawn for it. nnU-Net's intensities have a standard deviation of 1. Here they are shares of
the HU window, so the noise has a range of its own, and a shift (`augmentation.SHIFT`) stands for nnU-Net's factor of
brightness.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

NOISE = 0.05  # greatest standard deviation, as a share of the window: 100 HU with the default of 2000
BLUR = (0.5, 1.0)  # standard deviation in pixels
BLUR_RADIUS = 3
CONTRAST = (0.75, 1.25)
LOW_RESOLUTION = (0.5, 1.0)
GAMMA = (0.7, 1.5)


def distort(image: Tensor, random: torch.Generator) -> Tensor:
    """Change the intensities of slices (batch, channels, height, width), shares of the window from 0 to 1, in place.

    What is drawn depends on `random` alone, except the noise, which is drawn on the device.
    """
    for transform, probability in TRANSFORMS:
        chosen = chosen_slices(probability, len(image), random).to(image.device, non_blocking=True)
        if len(chosen):
            image.index_copy_(0, chosen, transform(image.index_select(0, chosen), random).clamp_(0, 1))
    return image


def chosen_slices(probability: float, count: int, random: torch.Generator) -> Tensor:
    """Return the positions of the slices to transform (n,), on the CPU, so that nothing waits for a GPU."""
    return (torch.rand(count, generator=random) < probability).nonzero()[:, 0]


def add_noise(image: Tensor, random: torch.Generator) -> Tensor:
    """Add Gaussian noise, of another variance for each slice."""
    deviation = NOISE * _uniform((0, 1), image, random).sqrt()
    seed = int(torch.randint(2**62, (), generator=random))
    noise = torch.Generator(image.device).manual_seed(seed)
    return image + deviation * torch.randn(image.shape, generator=noise, device=image.device)


def blur(image: Tensor, random: torch.Generator) -> Tensor:
    """Blur each slice with a Gaussian of its own width."""
    count, channels, height, width = image.shape
    deviation = _uniform(BLUR, image, random)[:, :, 0].repeat_interleave(channels, dim=0)
    positions = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=image.device)
    weights = (-(positions**2) / (2 * deviation**2)).softmax(dim=2)
    flat = pad(image.reshape(1, count * channels, height, width), [BLUR_RADIUS] * 4, mode="replicate")
    rows = conv2d(flat, weights[:, :, None], groups=count * channels)
    return conv2d(rows, weights[:, :, :, None], groups=count * channels).view(image.shape)


def change_contrast(image: Tensor, random: torch.Generator) -> Tensor:
    """Spread each slice's intensities around their mean, or draw them together."""
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    return (image - mean) * _uniform(CONTRAST, image, random) + mean


def lower_resolution(image: Tensor, random: torch.Generator) -> Tensor:
    """Take fewer pixels of the slices, the same share of all, and interpolate between them."""
    low, high = LOW_RESOLUTION
    scale = low + (high - low) * float(torch.rand((), generator=random))
    height, width = image.shape[2:]
    fewer = interpolate(image, (max(1, round(height * scale)), max(1, round(width * scale))), mode="nearest-exact")
    return interpolate(fewer, (height, width), mode="bicubic", align_corners=False)


def change_gamma(image: Tensor, random: torch.Generator) -> Tensor:
    """Raise each slice's intensities to a power; mean and standard deviation stay."""
    changed = image.clamp(0, 1) ** _uniform(GAMMA, image, random)
    axes = (1, 2, 3)
    mean, deviation = image.mean(axes, keepdim=True), image.std(axes, keepdim=True)
    changed = (changed - changed.mean(axes, keepdim=True)) / changed.std(axes, keepdim=True).clamp(min=1e-6)
    return changed * deviation + mean


def change_inverted_gamma(image: Tensor, random: torch.Generator) -> Tensor:
    """Do the same to what is missing to the upper edge of the window."""
    return 1 - change_gamma(1 - image, random)


def _uniform(bounds: tuple[float, float], image: Tensor, random: torch.Generator) -> Tensor:
    """Draw a number between the bounds for each slice (batch, 1, 1, 1), on the CPU, and send it without waiting."""
    low, high = bounds
    draws = low + (high - low) * torch.rand((len(image), 1, 1, 1), generator=random)
    return draws.to(image.device, non_blocking=True)


TRANSFORMS: tuple[tuple[Callable[[Tensor, torch.Generator], Tensor], float], ...] = (
    (add_noise, 0.1),
    (blur, 0.1),
    (change_contrast, 0.15),
    (lower_resolution, 0.125),
    (change_inverted_gamma, 0.1),
    (change_gamma, 0.3),
)
