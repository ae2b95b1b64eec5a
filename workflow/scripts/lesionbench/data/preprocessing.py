"""How a CT becomes the intensities that a network sees: plane, Hounsfield window, scale and padding.

Needs nothing but the standard library: scripts that cut slices have no PyTorch.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

INT16_MIN = -32768


@dataclass(frozen=True)
class Preprocessing:
    """The section `preprocessing` of the configuration (paper, section 4.5).

    plane: axial, coronal or sagittal; hu_window: the HU that intensities are clipped to, two whole numbers in int16's
    range; hu_scale: the HU that make an intensity of 1; neighbours: how many slices on either side of a slice a network
    sees beside it, as channels.
    """

    plane: str = "coronal"
    hu_window: tuple[int, int] = (-1000, 1000)
    hu_scale: float = 1000
    neighbours: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hu_window", tuple(self.hu_window))  # a list where it comes from YAML or JSON

    @property
    def channels(self) -> int:
        """How many slices a network sees at a time."""
        return 1 + 2 * self.neighbours

    @property
    def air(self) -> int:
        """HU of the padding: the lower edge of the window, within int16 as the slices are."""
        return max(round(self.hu_window[0]), INT16_MIN)

    @property
    def window(self) -> tuple[float, float]:
        """The least and the greatest intensity."""
        low, high = self.hu_window
        return low / self.hu_scale, high / self.hu_scale

    def intensities(self, hu: "torch.Tensor") -> "torch.Tensor":
        """Return HU, whole numbers in a tensor of any shape, as intensities in float32."""
        return hu.float().div_(self.hu_scale)


def padded_size(sizes: Iterable[tuple[int, int]], stride: int) -> tuple[int, int]:
    """Return the smallest multiples of `stride` that hold slices of these heights and widths."""
    heights, widths = zip(*sizes, strict=True)
    return math.ceil(max(heights) / stride) * stride, math.ceil(max(widths) / stride) * stride
