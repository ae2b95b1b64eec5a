"""Volumes and their grids: from a source grid to slices of an anatomical plane, and back.

World coordinates are those of NIfTI: millimetres along Right, Anterior, Superior. A plane is found from the affine,
never from the order of the array's axes; an oblique grid is cut along its own axes, the ones closest to the plane.
"""

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt2axcodes,
    ornt_transform,
)

from lesionbench.errors import UserError

logger = logging.getLogger(__name__)

# Where the slice, row and column index grow to. Drawn row by row this is the radiological display: the patient's right
# on the left of an axial or coronal picture, anterior on the left of a sagittal one, anterior or head on top.
_DIRECTIONS = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
PLANES = tuple(_DIRECTIONS)
LAST_CODE = 5  # of what NIfTI's sform_code and qform_code may say


class Grid(NamedTuple):
    """The voxels of an image without their values: shape and affine (4, 4), index to mm."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size (3,) in mm along the array's axes."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def orientation(self) -> str:
        """Where the array's axes point to, for example "LAS"; for an oblique grid the closest directions."""
        return "".join(ornt2axcodes(_orientation(self.affine)))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000


class Forms(NamedTuple):
    """What a NIfTI header says of an image's place: sform and qform (4, 4), index to mm, and their codes."""

    sform: np.ndarray
    qform: np.ndarray
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Volume:
    """An image on its source grid: data (i, j, k) and affine (4, 4), index to mm.

    forms: what the header of its file says, None where sform and qform are the affine and of code 1 (scanner).
    """

    data: np.ndarray
    affine: np.ndarray
    forms: Forms | None = None

    @property
    def grid(self) -> Grid:
        return Grid(self.data.shape, self.affine)

    @property
    def spacing(self) -> np.ndarray:
        return self.grid.spacing

    @property
    def orientation(self) -> str:
        return self.grid.orientation

    @property
    def voxel_ml(self) -> float:
        return self.grid.voxel_ml


def match_grid(
    study: str,
    a: Grid | Volume,
    b: Volume,
    tolerance: float = 1e-3,
    names: tuple[str, str] = ("CT", "mask"),
) -> Volume:
    """Return `b` on the grid of `a`, voxel for voxel: axes are swapped and flipped where needed, nothing is resampled.

    A grid whose affine differs by more than `tolerance` in an entry is taken with a warning where each of its corners
    lies less than half a voxel away, along each axis, so that the nearest voxel is still the same one.

    Raises UserError, naming the study, where the shapes differ or the grids lie further apart.
    """
    grid = a.grid if isinstance(a, Volume) else a
    moved = _reordered(b, grid.affine)
    what = f"{study}: {names[0]} and {names[1]} lie on different grids"
    remedy = f"Resample the {names[1]} to the {names[0]}'s grid, or take the file that belongs to it."
    if grid.shape != moved.data.shape:
        shapes = " and ".join("×".join(map(str, shape)) for shape in (grid.shape, moved.data.shape))
        raise UserError(f"{what}: shapes {shapes}. {remedy}")
    if np.allclose(grid.affine, moved.affine, rtol=0, atol=tolerance):
        return moved
    offsets = corner_offsets(grid, moved.affine)
    apart = f"up to {np.linalg.norm(offsets, axis=-1).max():.4g} mm apart"
    if np.abs(offsets @ np.linalg.inv(grid.affine[:3, :3]).T).max() >= 0.5:
        raise UserError(
            f"{what}: their affines differ ({grid.orientation} and {b.orientation}); "
            f"their corners lie {apart}. {remedy}"
        )
    logger.warning(
        "%s: %s and %s lie %s. This is less than half a voxel: the %s is used as if it lay on the %s's grid.",
        *(study, *names, apart, *names[::-1]),
    )
    return Volume(moved.data, grid.affine)


def corner_offsets(grid: Grid, affine: np.ndarray) -> np.ndarray:
    """Return how far (…, 3) in mm the corners of a grid lie from where another affine puts them."""
    corners = np.stack(np.meshgrid(*((-0.5, n - 0.5) for n in grid.shape)), axis=-1)
    offsets: np.ndarray = nib.affines.apply_affine(affine - grid.affine, corners)
    return offsets


def _reordered(volume: Volume, affine: np.ndarray) -> Volume:
    """Return a volume with its axes in the order and direction of another grid's; the same object if they are so."""
    # From voxel to voxel and not through the body's axes: an oblique grid may lie halfway between two of them.
    orientation = io_orientation(np.linalg.inv(affine) @ volume.affine)
    if (orientation == [[0, 1], [1, 1], [2, 1]]).all():
        return volume
    return Volume(
        apply_orientation(volume.data, orientation), volume.affine @ inv_ornt_aff(orientation, volume.data.shape)
    )


def to_slices(array: np.ndarray, affine: np.ndarray, plane: str) -> np.ndarray:
    """Return a view (slices, height, width) of an array on the source grid, in radiological display orientation.

    Indices grow towards: axial slice S, row P, column L; coronal slice P, row I, column L; sagittal slice L, row I,
    column P (Superior, Posterior, Left, Inferior).
    """
    return _reorder(array, _orientation(affine), axcodes2ornt(_DIRECTIONS[plane]))


def from_slices(stack: np.ndarray, affine: np.ndarray, plane: str) -> np.ndarray:
    """Return a view of slices on the source grid: the exact inverse of `to_slices`."""
    return _reorder(stack, axcodes2ornt(_DIRECTIONS[plane]), _orientation(affine))


def _orientation(affine: np.ndarray) -> np.ndarray:
    return _known_orientation(np.asarray(affine, np.float64).tobytes())


@lru_cache(maxsize=64)
def _known_orientation(affine: bytes) -> np.ndarray:
    """Return nibabel's orientation (3, 2) of an affine; a scan's is asked for many times, and each takes a moment."""
    return np.asarray(io_orientation(np.frombuffer(affine).reshape(4, 4)))


def _reorder(array: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return a view of an array whose axes run as the orientation `end` has them, not as `start` has."""
    view: np.ndarray = apply_orientation(array, ornt_transform(start, end))
    return view


def slice_spacing(affine: np.ndarray, plane: str) -> np.ndarray:
    """Return the distances (3,) in mm between slices, rows and columns of `to_slices`."""
    transform = ornt_transform(axcodes2ornt(_DIRECTIONS[plane]), _orientation(affine))
    sizes: np.ndarray = nib.affines.voxel_sizes(affine)[transform[:, 0].astype(int)]
    return sizes
