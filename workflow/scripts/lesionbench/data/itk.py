"""Reading NRRD and MetaImage, and the voxels of DICOM slices, through SimpleITK.

SimpleITK is imported where such a file is met: NIfTI does without it. Its world is left, posterior, superior; ours is
NIfTI's.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.data.geometry import check_affine
from lesionbench.data.volume import Grid, Volume
from lesionbench.errors import UserError

if TYPE_CHECKING:
    import SimpleITK

TO_RAS = np.diag([-1.0, -1, 1, 1])  # from left, posterior, superior


def read_header(path: str | Path) -> Grid:
    """Return the grid of an NRRD or MetaImage file without reading its voxels. Raises UserError as `read_voxels`."""
    return _grid(path, _information(path))


def read_voxels(path: str | Path) -> Volume:
    """Return the voxels of an NRRD or MetaImage file (i, j, k) and their affine.

    Raises UserError, naming the file, where it cannot be read, is not three-dimensional (trailing axes of length 1 are
    dropped), holds several numbers a voxel, NaN or infinity, or has a size of voxels that no scanner gives.
    """
    reader = _information(path)
    grid = _grid(path, reader)
    data = voxels(path, reader).reshape(grid.shape, order="F")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        count = np.count_nonzero(~np.isfinite(data))
        raise UserError(f"{path}: {count} voxels are NaN or infinite. Replace them (air is -1000 HU).")
    return Volume(data, grid.affine)


def simple_itk(path: str | Path) -> Any:
    """Return the module SimpleITK. Raises UserError, naming the file that needs it, where it is not installed."""
    try:
        import SimpleITK
    except ImportError as error:
        raise UserError(
            f"{path}: to read DICOM, NRRD and MetaImage, SimpleITK and pydicom are needed. Install them with "
            "`pip install simpleitk pydicom`, or convert the scan to NIfTI."
        ) from error
    # Of what it warns about, the callers decide: spacing, missing slices, series.
    SimpleITK.ProcessObject.GlobalWarningDisplayOff()
    return SimpleITK


def series_reader(folder: str | Path, files: Sequence[Path]) -> "SimpleITK.ImageSeriesReader":
    """Return a reader of DICOM slices in this order."""
    reader: SimpleITK.ImageSeriesReader = simple_itk(folder).ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(file) for file in files])
    return reader


def slice_size(path: Path) -> tuple[int, ...]:
    """Return the columns and rows that GDCM finds in a DICOM slice. Raises UserError where it finds no image."""
    reader: SimpleITK.ImageFileReader = simple_itk(path).ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return tuple(reader.GetSize()[:2])


def voxels(path: str | Path, reader: "SimpleITK.ImageReaderBase") -> np.ndarray:
    """Return what a reader reads (i, j, k). Raises UserError, naming `path`, where that fails."""
    try:
        image = reader.Execute()
    except (RuntimeError, MemoryError) as error:
        raise _unreadable(path, error) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise UserError(f"{path}: each voxel holds several numbers, as colours are. Save one real number a voxel.")
    data: np.ndarray = simple_itk(path).GetArrayFromImage(image).T
    if data.dtype.kind not in "iuf":
        raise UserError(f"{path}: voxels of type {data.dtype} cannot be used. Save one real number a voxel.")
    return data


def _information(path: str | Path) -> "SimpleITK.ImageFileReader":
    _check_axes(path)
    reader: SimpleITK.ImageFileReader = simple_itk(path).ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if Path(path).suffix.lower() in (".nrrd", ".nhdr") else "MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return reader


def _check_axes(path: str | Path) -> None:
    """Raise UserError where a header has a number of axes with which ITK 5.4 writes past its memory and is killed."""
    with Path(path).open("rb") as file:
        header = file.read(2**16)
    if any(not axes.isdigit() or int(axes) > 4 for axes in re.findall(rb"NDims\s*[=:]\s*(\S{1,20})", header)):
        raise UserError(f"{path}: its header has a number of axes (NDims) that no scan has. Copy or convert it again.")


def _grid(path: str | Path, reader: "SimpleITK.ImageFileReader") -> Grid:
    shape = tuple(reader.GetSize())
    text = "×".join(map(str, shape))
    if len(shape) < 3 or max(shape[3:], default=1) > 1:
        raise UserError(f"{path}: one three-dimensional volume is needed, this image is {text}. Extract one volume.")
    axes = len(shape)
    affine = np.eye(4)
    affine[:3, :3] = (np.reshape(reader.GetDirection(), (axes, axes)) * reader.GetSpacing())[:3, :3]
    affine[:3, 3] = reader.GetOrigin()[:3]
    grid = Grid(shape[:3], TO_RAS @ affine)
    check_affine(path, grid, "header")
    return grid


def _unreadable(path: str | Path, error: Exception) -> UserError:
    """Return a sentence from ITK's message, whose first line is a place in its source."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith(("Exception thrown", "Reason:"))]
    if "[nrrd]" in lines[-1]:
        lines = lines[-1:]  # each line is the reason of the one above
    words = re.sub(r"(itk::|ITK )ERROR: |\w+\(0x[0-9a-f]+\): ", "", " ".join(lines))
    return UserError(
        f"{path}: cannot be read ({shorten(words, 200, placeholder=' …')}). It is truncated, damaged or of another "
        "format: copy or convert it again."
    )
