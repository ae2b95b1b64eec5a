"""The U-Net of the paper (section 6.1), after Ronneberger et al. 2015 (https://doi.org/10.1007/978-3-319-24574-4_28)."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import max_pool2d


class ClassicUNet(nn.Module):
    """U-Net of five levels with `width`, 2 × `width`, … 16 × `width` channels.

    Unlike the original, the convolutions are padded, so that the output has the size of the input, and each is followed
    by ReLU and then batch normalisation, in the paper's order.
    """

    levels = 5
    stride = 2 ** (levels - 1)

    def __init__(self, in_channels: int = 1, classes: int = 1, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(self.levels)]
        steps = list(pairwise(widths))[::-1]
        self.encoder = nn.ModuleList(_two_convolutions(*step) for step in pairwise([in_channels, *widths]))
        self.upsampling = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for shallow, deep in steps)
        self.decoder = nn.ModuleList(_two_convolutions(deep, shallow) for shallow, deep in steps)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes, height, width) for an image (batch, channels, height, width).

        Raises
        ------
        ValueError
            where height or width is not a multiple of 16.
        """
        height, width = image.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(
                f"A slice of {height} × {width} pixels does not fit this U-Net: "
                f"pad height and width to multiples of {self.stride}."
            )
        features = self.encoder[0](image)
        skips = []
        for block in self.encoder[1:]:
            skips.append(features)
            features = block(max_pool2d(features, 2))
        for upsample, block in zip(self.upsampling, self.decoder, strict=True):
            features = block(torch.cat([skips.pop(), upsample(features)], dim=1))
        logits: torch.Tensor = self.head(features)
        return logits


def _two_convolutions(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(out_channels),
        ]
    return nn.Sequential(*layers)
