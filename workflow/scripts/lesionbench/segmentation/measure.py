"""What a lesion mask says of a scan: volumes, the share of the lungs involved, and what cannot be a lesion."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage

from lesionbench.data.volume import Grid, to_slices
from lesionbench.segmentation.lungs import LEFT, RIGHT

_TOUCHING = np.ones((3, 3, 3), bool)
_LARGEST_SHARE = 0.25  # of a chest CT's volume lungs take less
_OUTSIDE_SHARE, _OUTSIDE_ML = 0.5, 1.0


def measure(lesion: np.ndarray, grid: Grid, lungs: np.ndarray | None) -> dict[str, Any]:
    """Return what `docs/segment.md` lists of a lesion mask (i, j, k) and lungs (0, 1 right, 2 left) on the same grid.

    Volumes are in ml, shares from 0 to 1, None without lungs. A lesion is in a lung where a connected component of it
    touches the lung, and all of the component counts to that lung and to its volume: dense lesions at the pleura may
    lie outside of what was found as lung.
    """
    axial = to_slices(lesion, grid.affine, "axial")
    result: dict[str, Any] = {
        "lesion_ml": _ml(lesion, grid),
        "lesion_slices": int(axial.any(axis=(1, 2)).sum()),
        "slices": len(axial),
    }
    names = [f"{side}{what}" for side in ("", "right_", "left_") for what in ("lungs_ml", "share_involved")]
    if lungs is None:
        return result | dict.fromkeys(["lesion_outside_lungs_ml", *names, "right_lesion_ml", "left_lesion_ml"])
    sides = _sides(lesion, lungs)
    result["lesion_outside_lungs_ml"] = _ml(lesion & (sides == 0), grid)
    for name, inside in (("", sides > 0), ("right_", sides == RIGHT), ("left_", sides == LEFT)):
        volume, involved = _ml(inside, grid), _ml(lesion & inside, grid)
        result |= {f"{name}lungs_ml": volume, f"{name}share_involved": involved / volume if volume else None}
        if name:
            result[f"{name}lesion_ml"] = involved
    return result


def _ml(mask: np.ndarray, grid: Grid) -> float:
    return int(np.count_nonzero(mask)) * grid.voxel_ml


def _sides(lesion: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Return the lungs, and in them the lesions that touch them: each on the side that most of it lies on."""
    labels, count = ndimage.label(lesion, _TOUCHING)
    overlaps = [np.bincount(labels[lungs == side], minlength=count + 1) for side in (0, RIGHT, LEFT)]
    side = np.where(overlaps[RIGHT] + overlaps[LEFT] > 0, np.where(overlaps[RIGHT] >= overlaps[LEFT], RIGHT, LEFT), 0)
    return np.where(lungs == 0, np.where(labels > 0, side[labels], 0), lungs)


def doubts(found: dict[str, Any], grid: Grid) -> Iterator[str]:
    """Yield what shows that the mask of `measure` cannot be a lesion."""
    lesion, scan = found["lesion_ml"], float(np.prod(grid.shape)) * grid.voxel_ml
    if lesion > _LARGEST_SHARE * scan:
        yield f"{lesion / scan:.1%} of the scan is marked, more than lungs take of it: the model does not fit this scan"
    outside = found["lesion_outside_lungs_ml"]
    if outside and outside > _OUTSIDE_ML and outside > _OUTSIDE_SHARE * lesion:
        yield f"{outside / lesion:.0%} of the lesion lies outside the lungs: look at the mask"
