"""Where the voxels of a NIfTI file lie: sform, qform, pixdim and unit of its header, held against each other.

The header's fields are described in https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h.
"""

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from lesionbench.data.volume import LAST_CODE, Forms, Grid, corner_offsets
from lesionbench.errors import UserError
from lesionbench.words import listed

logger = logging.getLogger(__name__)

# What two claims about a voxel's place may differ by, anywhere in the volume, in voxels.
TOLERANCE = 0.1
# What no scanner leaves, in mm: the sizes of a voxel, and how far from the isocentre a volume begins.
SMALLEST, LARGEST, FURTHEST = 0.01, 100.0, 100_000.0
# The header's units of length other than mm, and how many mm they are; 0 stands for unknown, which is read as mm.
_UNITS = {1: ("metres", 1000.0), 3: ("microns", 0.001)}


def locate(
    path: str | Path, header: nib.Nifti1Header, shape: tuple[int, ...], geometry: str | None
) -> tuple[np.ndarray, Forms | None]:
    """Return the affine (4, 4), index to mm, of an image of this shape, and what else its header says of it.

    `header` is as it stands in the file, without nibabel's repairs. The forms are None where both are the affine and of
    code 1, as `nifti.write_volume` writes them by default.

    Raises UserError, naming the file, where there is no usable form, a voxel has a size that no scanner gives it, or
    the claims differ by more than a tenth of a voxel and `geometry` does not decide.
    """
    unit, mm = _UNITS.get(int(header["xyzt_units"]) & 7, ("mm", 1.0))
    found, broken = _forms(header, mm)
    spacing = np.asarray(header["pixdim"][1:4], float) * mm
    if not found and not broken:
        found["pixdim"] = _without_orientation(path, header, shape, mm)
    if not found or geometry in broken:
        reasons = listed([f"its {name} {reason}" for name, reason in broken.items()])
        raise UserError(f"{path}: {reasons}. Repair the header, or convert the scan again.")
    chosen = geometry if geometry in found else next(iter(found))
    affine = found[chosen]
    check_affine(path, Grid(shape, affine), chosen, unit)
    if conflict := _conflict(found, broken, spacing, shape):
        if geometry not in found or not (len(found) > 1 or broken or geometry == "sform"):
            right = "whichever is right" if len(found) > 1 else "if it is right"
            raise UserError(
                f"{path}: {conflict}. Set dataset.geometry in the configuration (--geometry of a command) to "
                f"{' or '.join(found)}, {right}, or repair the header."
            )
        logger.warning("%s: %s. The %s is used, as the setting geometry says.", path, conflict, chosen)
    return affine, _kept(header, found, affine)


def _forms(header: nib.Nifti1Header, mm: float) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the forms that a header gives by their names, in mm, and those that cannot be used with the reason."""
    found, broken = {}, {}
    for name, form in (("sform", header.get_sform), ("qform", lambda: _qform(header))):
        if header[f"{name}_code"] > 0:
            try:
                affine = np.asarray(form(), float)
            except (HeaderDataError, ValueError) as error:
                broken[name] = str(error)
                continue
            affine[:3] *= mm
            if _is_singular(affine):
                broken[name] = "is singular or not finite"
            else:
                found[name] = affine
    return found, broken


def _is_singular(affine: np.ndarray) -> bool:
    axes = affine[:3, :3]
    flat = 1e-6 * np.linalg.norm(axes, axis=0).prod()
    return not np.isfinite(affine).all() or bool(abs(np.linalg.det(axes)) <= flat)


def _qform(header: nib.Nifti1Header) -> np.ndarray:
    """Return the affine of a qform. Raises ValueError where its spacing or its rotation is none."""
    _check_spacing(header)
    header = header.copy()
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1  # as nifti1.h says of 0
    try:
        return np.asarray(header.get_qform())
    except ValueError as error:
        raise ValueError("has a quaternion that is no rotation") from error


def _check_spacing(header: nib.Nifti1Header) -> None:
    spacing = header["pixdim"][1:4]
    if not (np.isfinite(spacing) & (spacing > 0)).all():
        raise ValueError(f"has the spacing {_sizes(spacing)} (pixdim)")


def _without_orientation(path: str | Path, header: nib.Nifti1Header, shape: tuple[int, ...], mm: float) -> np.ndarray:
    """Return the affine that nibabel assumes where there is neither sform nor qform."""
    try:
        _check_spacing(header)
    except ValueError as error:
        raise UserError(f"{path}: its header {error}. Repair it, or convert the scan again.") from error
    affine = np.asarray(header.get_base_affine(), float)
    affine[:3] *= mm
    logger.warning("%s: the header has no orientation; %s is assumed.", path, Grid(shape, affine).orientation)
    return affine


def check_affine(path: str | Path, grid: Grid, form: str, unit: str = "mm") -> None:
    """Raise UserError, naming the file, where a grid is one that no scanner leaves.

    form: what of the file says where it lies; unit: in which it says so.
    """
    if _is_singular(grid.affine):
        raise UserError(f"{path}: by its {form}, its axes are singular or not finite. Convert the scan again.")
    measured = f"by its {form}" + (f", in {unit}," if unit != "mm" else "")
    if grid.spacing.min() < SMALLEST or grid.spacing.max() > LARGEST:
        problem = f"its voxels are {_sizes(grid.spacing)} mm {measured} and a scanner's {SMALLEST} to {LARGEST:g} mm"
    elif np.abs(grid.affine[:3, 3]).max() > FURTHEST:
        problem = f"its first voxel lies at {_place(grid.affine)} mm {measured} and no scanner is as large"
    else:
        return
    raise UserError(f"{path}: {problem}. Repair the header, or convert the scan again.")


def _conflict(found: dict[str, np.ndarray], broken: dict[str, str], spacing: np.ndarray, shape: tuple[int, ...]) -> str:
    """Return in words how the claims of a header differ, an empty string where they agree."""
    first, *others = found.values()
    if broken:
        return f"its header contradicts itself: {_told(found, broken)}"
    if others:
        offsets = corner_offsets(Grid(shape, first), others[0])
        if np.abs(offsets @ np.linalg.inv(first[:3, :3]).T).max() <= TOLERANCE:
            return ""
        apart = np.linalg.norm(offsets, axis=-1).max()
        return f"its header gives the voxels two places, up to {apart:.4g} mm apart: {_told(found)}"
    sizes = Grid(shape, first).spacing
    if (np.abs(spacing - sizes) * shape <= TOLERANCE * sizes).all():
        return ""
    return f"its header contradicts itself: {_told(found)}, and pixdim has voxels of {_sizes(spacing)} mm"


def _told(found: dict[str, np.ndarray], broken: dict[str, str] | None = None) -> str:
    claims = [f"the {name} has {_described(affine)}" for name, affine in found.items()]
    return listed(claims + [f"the {name} {reason}" for name, reason in (broken or {}).items()])


def _kept(header: nib.Nifti1Header, found: dict[str, np.ndarray], affine: np.ndarray) -> Forms | None:
    """Return the forms to write with what is made from an image, None where they are the usual ones."""
    given = (int(header[f"{name}_code"]) if name in found else 0 for name in ("sform", "qform"))
    codes = tuple(code if code <= LAST_CODE else 1 for code in given)  # no reader knows what others mean
    forms = [found.get(name, affine) for name in ("sform", "qform")]
    if codes == (1, 1) and all((np.abs(form - affine) <= 1e-3).all() for form in forms):
        return None
    return Forms(forms[0], forms[1], codes)


def _described(affine: np.ndarray) -> str:
    grid = Grid((), affine)
    return f"voxels of {_sizes(grid.spacing)} mm, {grid.orientation}, the first at {_place(affine)}"


def _sizes(spacing: np.ndarray) -> str:
    return "×".join(f"{size:.5g}" for size in spacing)


def _place(affine: np.ndarray) -> str:
    return f"({', '.join(f'{x:.5g}' for x in affine[:3, 3])})"
