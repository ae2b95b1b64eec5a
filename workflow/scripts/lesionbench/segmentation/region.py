"""Where lesions are looked for: around the lungs of a scan, in the slices that a network sees."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lesionbench.data.preprocessing import Shape
from lesionbench.models.operations import Area, Span

AROUND_MM = 10.0  # around the lungs
SUSPECT = 0.1  # least probability at the region's edge that lets it grow: a lesion does not end there
_GRID = 32  # pixels; areas of few sizes, because each new one takes time to prepare


@dataclass(frozen=True)
class Region:
    """The part of a scan that is around its lungs.

    lungs: bool (slices, rows, columns), with a lung in some slice; around: slices, rows and columns that 10 mm are.
    """

    lungs: Tensor
    around: Shape

    @classmethod
    def around_lungs(cls, lungs: Tensor, spacing: np.ndarray) -> "Region | None":
        """Return the region of lungs (slices, rows, columns), not 0 inside, with mm (3,) between each; None without."""
        inside = lungs > 0
        slices, rows, columns = (int(np.ceil(AROUND_MM / size)) for size in spacing)
        return cls(inside, (slices, rows, columns)) if inside.any() else None

    @property
    def slices(self) -> Span:
        """From and to which slice the region reaches."""
        return _grown(self.lungs.any(dim=2).any(dim=1), self.around[0])

    def area(self, part: slice) -> Area:
        """Return rows and columns of the region in a few slices; beyond its ends those of all slices together."""
        near = self.lungs[max(part.start - self.around[0], 0) : part.stop + self.around[0]]
        inside = (near if near.any() else self.lungs).any(dim=0)
        rows, columns = _grown(inside.any(dim=1), self.around[1]), _grown(inside.any(dim=0), self.around[2])
        return _on_grid(rows, inside.shape[0]), _on_grid(columns, inside.shape[1])


def _grown(inside: Tensor, by: int) -> Span:
    found = inside.nonzero()
    return max(int(found[0]) - by, 0), min(int(found[-1]) + 1 + by, len(inside))


def _on_grid(span: Span, length: int) -> Span:
    return span[0] // _GRID * _GRID, min(-(-span[1] // _GRID) * _GRID, length)
