"""Reading CTs and masks, of whatever format: the one place where files become HU and lesions."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lesionbench.data import dicom, itk, nifti
from lesionbench.data.narrowing import in_parts, narrow, narrowed
from lesionbench.data.reading import AS_IS, ITK_SUFFIXES, Reading, is_dicom, is_scan
from lesionbench.data.volume import Grid, Volume
from lesionbench.errors import UserError
from lesionbench.words import first_few

logger = logging.getLogger(__name__)

_EXPECTED = "A NIfTI, NRRD or MetaImage file is expected, or a folder of DICOM slices."

# A CT's air is about -1000 HU, around the patient and in the lungs. Values that stay above this are no HU.
_AIR = -500
# No CT holds more. Metal reaches 30,000 HU, padding -32,768.
_FURTHEST_HU = 100_000


def read_header(path: str | Path, reading: Reading = AS_IS) -> Grid:
    """Return the grid of a scan or mask without reading its voxels.

    Raises UserError as `read_ct` does, except for the values of voxels and damage in the middle of a file.
    """
    path = _check_file(path)
    if path.is_dir():
        return dicom.read_header(path, reading.series)
    return itk.read_header(path) if _is_itk(path) else nifti.read_header(path, reading.geometry)


def read_ct(path: str | Path, reading: Reading = AS_IS) -> Volume:
    """Read a CT in Hounsfield units: a NIfTI, NRRD or MetaImage file, or a folder of DICOM slices.

    The data are int16 where every value is a whole number in int16's range, which loses nothing; else float32, the
    nearest to each value. Nothing is clipped or rounded to whole numbers here, unless it is a grey value: with
    `reading.intensity` as a window, 0…255 are the HU of its lower and upper edge, rounded, and a volume with air below
    0 is in HU already.

    Raises UserError, naming the file, where it cannot be read (`read_voxels` of `nifti`, `itk` and `dicom`), holds
    values beyond ±100,000, or neither grey values nor HU where `reading` expects them.
    """
    path = _check_file(path)
    grey = reading.window
    volume = (
        dicom.read_voxels(path, reading.series) if path.is_dir() else _read_file(path, reading, exact=grey is not None)
    )
    data = volume.data
    if grey:
        data = _from_grey(path, data, *grey)
    elif data.dtype.kind != "f" or path.is_dir() or _is_itk(path):  # others are: again would make int16 of rounded ones
        data = narrow(data)
    _check_hu(path, data)
    return Volume(data, volume.affine, volume.forms)


def read_mask(path: str | Path, reading: Reading = AS_IS) -> Volume:
    """Read a lesion mask as uint8, 0 background and 1 lesion, where the file has one of `reading.lesion_labels`.

    Other labels are background. Where no labels are given, a mask holds 0 and 1 and nothing else; masks of 0 and 255
    are accepted with a warning. Raises UserError on any other label, and where the file cannot be read (`read_voxels`
    of `nifti` and `itk`).
    """
    path = _check_file(path)
    if path.is_dir():
        raise UserError(f"{path}: this is a folder. A mask is a NIfTI, NRRD or MetaImage file.")
    volume = _read_file(path, reading)
    labels, wanted = volume.data, reading.lesion_labels or (1,)
    lesion = _one_of(labels, wanted)
    if not _nothing_else(labels, lesion):  # of most masks this is all that is looked at
        labels = _whole(labels)
        if labels is not volume.data:
            lesion = _one_of(labels, wanted)
        if reading.lesion_labels is None and not _nothing_else(labels, lesion):
            lesion = _not_binary(path, labels)
        elif labels is volume.data and labels.dtype.kind == "f":
            raise UserError(
                f"{path}: labels are whole numbers, and this mask holds {_some(labels)}. Resample it by nearest "
                "neighbours."
            )
    return Volume(lesion.view(np.uint8), volume.affine, volume.forms)


def _check_file(path: str | Path) -> Path:
    """Return the path of a file or folder. Raises UserError that says what is there instead."""
    path = Path(path)
    if not os.path.lexists(path):
        raise UserError(f"{path}: no such file. Check the path and that the data set is unpacked completely.")
    if not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: this is no regular file, or a link to nowhere. {_EXPECTED}")
    if path.is_file() and not is_scan(path) and is_dicom(path):
        raise UserError(f"{path}: this is a DICOM file. Give the folder with all slices of its series.")
    return path


def _is_itk(path: Path) -> bool:
    return path.suffix.lower() in ITK_SUFFIXES


def _read_file(path: Path, reading: Reading, exact: bool = False) -> Volume:
    return itk.read_voxels(path) if _is_itk(path) else nifti.read_voxels(path, reading.geometry, exact)


def _one_of(labels: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """Return where labels are one of those wanted, as bool."""
    found: np.ndarray = labels == wanted[0]
    for label in wanted[1:]:
        found |= labels == label
    return found


def _nothing_else(labels: np.ndarray, lesion: np.ndarray) -> bool:
    return bool(np.count_nonzero(lesion) == np.count_nonzero(labels))  # no lesion is 0


def _whole(labels: np.ndarray) -> np.ndarray:
    """Return labels as whole numbers, or the same object where they are integers, or no whole numbers.

    A writer that scales 0…1 to 0…255 rounds its slope, so that ones are not exactly 1.
    """
    if labels.dtype.kind != "f":
        return labels
    nearest = np.rint(labels)
    apart = labels - nearest
    return nearest if np.abs(apart, out=apart).max() <= 1e-3 else labels


def _not_binary(path: str | Path, labels: np.ndarray) -> np.ndarray:
    """Return where a mask of 0 and 255 holds 255. Raises UserError where it holds anything else."""
    lesion: np.ndarray = labels == 255
    if _nothing_else(labels, lesion):
        logger.warning("%s: labels 0 and 255 are read as 0 and 1.", path)
        return lesion
    raise UserError(
        f"{path}: a mask holds the labels 0 (background) and 1 (lesion), this one {_some(labels)}. Make it binary. "
        "For the data set's own masks, dataset.lesion_labels can say which labels are lesion, [1] or [1, 2], and all "
        "others are background."
    )


def _some(labels: np.ndarray) -> str:
    return first_few([f"{label:g}" for label in np.unique(labels)[:7]], 6)


def _check_hu(path: str | Path, data: np.ndarray) -> None:
    if data.dtype.kind in "iu" and data.dtype.itemsize <= 2:
        return
    low, high = float(data.min()), float(data.max())
    if max(-low, high) > _FURTHEST_HU:
        raise UserError(
            f"{path}: its values reach from {low:g} to {high:g}, which no CT has (±{_FURTHEST_HU:,} HU at most). Its "
            "slope and intercept (in NIfTI scl_slope, scl_inter) or its voxels are damaged: convert the scan again."
        )


def _from_grey(path: str | Path, data: np.ndarray, black: float, white: float) -> np.ndarray:
    """Return the HU of grey values, black at 0 and white at 255, in whole numbers; a volume with air is HU already.

    Both are `narrowed`.
    """
    low, high = float(data.min()), float(data.max())
    if low <= _AIR:
        return narrow(data)
    if low < 0 or high > 255:
        raise UserError(
            f"{path}: its values reach from {low:g} to {high:g}. They are neither grey values (0 to 255), as "
            "dataset.intensity says, nor HU, where air is -1000. Give the scan in HU, or leave it out."
        )
    logger.warning("%s: its grey values 0 to 255 are read as %g to %g HU.", path, black, white)
    scale = (white - black) / 255
    return narrowed(lambda: (np.rint(black + part * scale) for part in in_parts(data)), data.shape)
