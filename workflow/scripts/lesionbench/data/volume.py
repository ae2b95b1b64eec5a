"""NIfTI volumes in and out, their grid, and the way between a source grid and slices of an anatomical plane.

World coordinates are those of NIfTI: millimetres along Right, Anterior, Superior. A plane is found from the affine,
never from the order of the array's axes; an oblique grid is cut along its own axes, the ones closest to the plane.
"""

import logging
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError

from lesionbench.errors import UserError
from lesionbench.files import atomic

logger = logging.getLogger(__name__)

# Where the slice, row and column index grow to. Drawn row by row this is the radiological display: the patient's right
# on the left of an axial or coronal picture, anterior on the left of a sagittal one, anterior or head on top.
_DIRECTIONS = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
PLANES = tuple(_DIRECTIONS)

_UNREADABLE = (ImageFileError, HeaderDataError, EOFError, zlib.error, OSError, ValueError)


class Grid(NamedTuple):
    """The voxels of an image without their values: shape and affine (4, 4), index to mm."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size (3,) in mm along the array's axes."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def orientation(self) -> str:
        """Where the array's axes point to, for example "LAS"; for an oblique grid the closest directions."""
        return "".join(nib.aff2axcodes(self.affine))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000


@dataclass(frozen=True)
class Volume:
    """An image on its source grid: data (i, j, k) and affine (4, 4), index to mm."""

    data: np.ndarray
    affine: np.ndarray

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


def read_header(path: str | Path) -> Grid:
    """Return the grid of a NIfTI file without reading its voxels. Raises UserError as `read_ct` does."""
    return _open(path)[1]


def read_ct(path: str | Path) -> Volume:
    """Read a CT in Hounsfield units.

    `scl_slope` and `scl_inter` are applied. The data are int16 where every value is a whole number in int16's range,
    which loses nothing; else float32, the nearest to each value. Nothing is clipped or rounded to whole numbers here.

    Raises UserError, naming the file, where it is missing, no NIfTI, truncated, not three-dimensional (trailing axes
    of length 1 are dropped), holds NaN or infinity, or has a singular affine.
    """
    data, affine = _read(path)
    with np.errstate(invalid="ignore"):  # values outside int16 come out changed, which the comparison sees
        whole = data.astype(np.int16, copy=False)
    return Volume(whole if (whole == data).all() else data.astype(np.float32), affine)


def read_mask(path: str | Path) -> Volume:
    """Read a lesion mask as uint8, 0 background and 1 lesion.

    Masks of 0 and 255 are accepted with a warning. Raises UserError on any other label and as `read_ct` does.
    """
    labels, affine = _read(path)
    if labels.dtype.kind == "f":
        # A writer that scales 0…1 to 0…255 leaves ones that are off by the rounding of its slope.
        nearest = np.rint(labels)
        labels = nearest if np.abs(labels - nearest).max() <= 1e-3 else labels
    lesion = labels == 1
    if (lesion | (labels == 0)).all():
        return Volume(lesion.view(np.uint8), affine)
    found = np.unique(labels)
    if set(found.tolist()) <= {0, 255}:
        logger.warning("%s: labels 0 and 255 are read as 0 and 1.", path)
        return Volume((labels == 255).view(np.uint8), affine)
    some = ", ".join(f"{label:g}" for label in found[:6]) + (", …" if found.size > 6 else "")
    raise UserError(f"{path}: a mask holds the labels 0 (background) and 1 (lesion), this one {some}. Make it binary.")


def write_mask(path: str | Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write a mask (i, j, k) as `write_volume` does, in uint8."""
    write_volume(path, np.asarray(data, dtype=np.uint8), affine)


def write_volume(path: str | Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write an array (i, j, k) in its type as NIfTI with its affine in both sform and qform (scanner, mm)."""
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    with atomic(path) as temporary:
        nib.save(image, temporary)


def check_same_grid(
    study: str,
    a: Grid | Volume,
    b: Grid | Volume,
    tolerance: float = 1e-3,
    names: tuple[str, str] = ("CT", "mask"),
) -> None:
    """Raise UserError, naming the study, unless both shapes are equal and the affines' entries within `tolerance`."""
    first, second = (item.grid if isinstance(item, Volume) else item for item in (a, b))
    what = f"{study}: {names[0]} and {names[1]} lie on different grids"
    remedy = f"Resample the {names[1]} to the {names[0]}'s grid, or take the file that belongs to it."
    if first.shape != second.shape:
        shapes = " and ".join("×".join(map(str, grid.shape)) for grid in (first, second))
        raise UserError(f"{what}: shapes {shapes}. {remedy}")
    if not np.allclose(first.affine, second.affine, rtol=0, atol=tolerance):
        corners = nib.affines.apply_affine(
            first.affine - second.affine, np.stack(np.meshgrid(*((0, n - 1) for n in first.shape)), axis=-1)
        )
        offset = np.linalg.norm(corners, axis=-1).max()
        raise UserError(
            f"{what}: their affines differ ({first.orientation} and {second.orientation}); "
            f"the same voxel lies up to {offset:.4g} mm apart. {remedy}"
        )


def to_slices(array: np.ndarray, affine: np.ndarray, plane: str) -> np.ndarray:
    """Return a view (slices, height, width) of an array on the source grid, in radiological display orientation.

    Indices grow towards: axial slice S, row P, column L; coronal slice P, row I, column L; sagittal slice L, row I,
    column P (Superior, Posterior, Left, Inferior).
    """
    return apply_orientation(array, ornt_transform(io_orientation(affine), axcodes2ornt(_DIRECTIONS[plane])))


def from_slices(stack: np.ndarray, affine: np.ndarray, plane: str) -> np.ndarray:
    """Return a view of slices on the source grid: the exact inverse of `to_slices`."""
    return apply_orientation(stack, ornt_transform(axcodes2ornt(_DIRECTIONS[plane]), io_orientation(affine)))


def slice_spacing(affine: np.ndarray, plane: str) -> np.ndarray:
    """Return the distances (3,) in mm between slices, rows and columns of `to_slices`."""
    transform = ornt_transform(axcodes2ornt(_DIRECTIONS[plane]), io_orientation(affine))
    return nib.affines.voxel_sizes(affine)[transform[:, 0].astype(int)]


def _open(path: str | Path) -> tuple[nib.Nifti1Pair, Grid]:
    """Return a NIfTI image with its voxels unread, and its checked grid."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file. Check the path and that the data set is unpacked completely.")
    try:
        image = nib.load(path)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    if not isinstance(image, nib.Nifti1Pair):
        raise UserError(f"{path}: this is {type(image).__name__}, not NIfTI. Convert it to .nii or .nii.gz.")
    shape = image.shape
    if len(shape) < 3 or min(shape) < 1 or max(shape[3:], default=1) > 1:
        text = "×".join(map(str, shape))
        raise UserError(f"{path}: one three-dimensional volume is needed, this image is {text}. Extract one volume.")
    affine = np.asarray(image.affine, dtype=np.float64)
    axes = affine[:3, :3]
    flat = 1e-6 * np.linalg.norm(axes, axis=0).prod()
    if not np.isfinite(affine).all() or abs(np.linalg.det(axes)) <= flat:
        raise UserError(f"{path}: its affine is singular or not finite. Repair the sform or qform, or convert it anew.")
    if not image.header["sform_code"] and not image.header["qform_code"]:
        logger.warning("%s: the header has no orientation; %s is assumed.", path, "".join(nib.aff2axcodes(affine)))
    return image, Grid(tuple(shape[:3]), affine)


def _read(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return scaled voxels (i, j, k), finite, and affine. Unscaled integers keep their type: no detour over float64."""
    image, grid = _open(path)
    try:
        data = np.asarray(image.dataobj).reshape(grid.shape, order="F")
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    if data.dtype.kind not in "iuf":
        raise UserError(f"{path}: voxels of type {data.dtype} cannot be used. Save one real number a voxel.")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        bad = np.argwhere(~np.isfinite(data))
        raise UserError(
            f"{path}: {len(bad)} voxels are NaN or infinite, the first at {tuple(bad[0].tolist())}. "
            "Convert the scan anew, or replace them (air is -1000 HU)."
        )
    return data, grid.affine


def _unreadable(path: str | Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(
        f"{path}: cannot be read as NIfTI ({reason}). "
        "It is truncated, damaged or of another format: copy or convert it anew."
    )
