"""How a CT becomes the intensities that a network sees: plane, Hounsfield window, scale, resampling and padding.

Needs nothing but the standard library: scripts that cut slices have no PyTorch.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

INT16_MIN = -32768
BODY_HU = -300  # what is denser is the body
Shape = tuple[int, int, int]  # slices, rows, columns


@dataclass(frozen=True)
class Preprocessing:
    """The section `preprocessing` of the configuration (paper, section 4.5).

    plane: axial, coronal or sagittal; hu_window: the HU that intensities are clipped to, two whole numbers in int16's
    range; hu_scale: the HU that make an intensity of 1; neighbours: how many slices on either side of a slice a network
    sees beside it, as channels; spacing: mm between rows and columns, or between slices, rows and columns, that a
    network sees, None for the scan's own; size: rows and columns to which slices are cropped and padded, None for their
    own.
    """

    plane: str = "coronal"
    hu_window: tuple[int, int] = (-1000, 1000)
    hu_scale: float = 1000
    neighbours: int = 0
    spacing: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("hu_window", "spacing", "size"):
            if isinstance(value := getattr(self, name), list):  # where it comes from YAML or JSON
                object.__setattr__(self, name, tuple(value))

    @property
    def cut(self) -> str:
        """The name of a cut into slices: all that decides the files of slices, as `coronal_-1000_1000`."""
        return "_".join(map(str, (self.plane, *self.hu_window)))

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

    def resampled(self, shape: Shape, spacing: Sequence[float]) -> Shape:
        """Return the shape of a study's slices at the wanted spacing; spacing: mm between its slices, rows, columns."""
        if self.spacing is None:
            return shape
        wanted = (spacing[0], *self.spacing)[-3:]
        slices, rows, columns = (
            max(1, round(float(count * own / new))) for count, own, new in zip(shape, spacing, wanted, strict=True)
        )
        return slices, rows, columns

    def seen(self, shape: Shape, spacing: Sequence[float]) -> tuple[int, int]:
        """Return rows and columns of the slices of a study that a network sees, before they are padded for it."""
        return self.size or self.resampled(shape, spacing)[1:]

    def intensities(self, hu: "torch.Tensor") -> "torch.Tensor":
        """Return HU, whole numbers in a tensor of any shape, as intensities in float32."""
        return hu.float().div_(self.hu_scale)


def padded_size(sizes: Iterable[tuple[int, int]], stride: int) -> tuple[int, int]:
    """Return the smallest multiples of `stride` that hold slices of these heights and widths."""
    heights, widths = zip(*sizes, strict=True)
    return math.ceil(max(heights) / stride) * stride, math.ceil(max(widths) / stride) * stride
