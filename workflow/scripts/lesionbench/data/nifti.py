"""Reading and writing NIfTI: files are checked and read whole, or refused with the reason; none is written in part."""

import logging
import math
import os
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import isal_zlib
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.fileholders import FileHolder
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling

from lesionbench.data.geometry import locate
from lesionbench.data.narrowing import PART, narrowed
from lesionbench.data.reading import is_nifti
from lesionbench.data.volume import Forms, Grid, Volume
from lesionbench.errors import UserError
from lesionbench.files import atomic

logger = logging.getLogger(__name__)

_UNREADABLE = (ImageFileError, HeaderDataError, EOFError, zlib.error, OSError, ValueError, OverflowError)
# Deflate, and so gzip, unpacks a byte to at most 1032 (https://zlib.net/zlib_tech.html, "Maximum Compression Factor").
_DEFLATE_RATIO = 1032
_LARGEST = float(np.finfo(np.float32).max)


def read_header(path: str | Path, geometry: str | None = None) -> Grid:
    """Return the grid of a NIfTI file without reading its voxels; `geometry` is that of `geometry.locate`.

    Raises UserError as `read_voxels` does, except for the values of voxels and damage in the middle of a file.
    """
    return _open(path, geometry)[1]


def read_forms(path: str | Path, geometry: str | None = None) -> Forms | None:
    """Return what the header of a NIfTI file says of its place, as `Volume.forms`. Raises as `read_header` does."""
    return _open(path, geometry)[2]


def read_voxels(path: str | Path, geometry: str | None = None, exact: bool = False) -> Volume:
    """Return the voxels of a NIfTI file (i, j, k), scaled by `scl_slope` and `scl_inter`, finite, and their place.

    `geometry` is that of `geometry.locate`. Integers that are not scaled keep their type, other numbers are `narrowed`;
    exact: they stay as they are, in float64 where they are scaled.

    Raises UserError, naming the file, where it is missing, no NIfTI, truncated, claims more voxels than it holds, is
    not three-dimensional (trailing axes of length 1 are dropped), holds NaN, infinity or what float32 cannot hold, or
    where `geometry.locate` refuses its header.
    """
    image, grid, forms = _open(path, geometry)
    voxels: Any = image.dataobj
    if voxels.dtype.kind not in "iuf":
        raise UserError(f"{path}: voxels of type {voxels.dtype} cannot be used. Save one real number a voxel.")
    parts = partial(_finite_parts, path, voxels)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is an error
            if voxels.dtype.kind in "iu" and (voxels.slope, voxels.inter) == (1, 0):
                data = _stored(voxels).reshape(grid.shape, order="F")
            elif exact:
                data = np.concatenate([*parts()]).reshape(grid.shape, order="F")
            else:
                data = narrowed(parts, grid.shape)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    except MemoryError as error:
        text = "×".join(map(str, grid.shape))
        raise UserError(f"{path}: too little memory to read {text} voxels. Free some, or ask for more.") from error
    return Volume(data, grid.affine, forms)


def write_mask(path: str | Path, data: np.ndarray, affine: np.ndarray, forms: Forms | None = None) -> None:
    """Write a mask (i, j, k) as `write_volume` does, in uint8."""
    write_volume(path, np.asarray(data, dtype=np.uint8), affine, forms)


def write_volume(
    path: str | Path, data: np.ndarray, affine: np.ndarray, forms: Forms | None = None, slope: float = 1
) -> None:
    """Write an array (i, j, k) in its type as NIfTI with its affine in both sform and qform (scanner, mm).

    Where there are `forms`, those of the scan that the array was made from, they are written instead. Who reads the
    file gets the array times `slope`.
    """
    forms = forms or Forms(affine, affine, (1, 1))
    image = nib.Nifti1Image(data, affine)
    image.set_sform(forms.sform, code=forms.codes[0])
    image.set_qform(forms.qform, code=forms.codes[1])
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(slope, 0)
    with atomic(path) as temporary:
        # By `nib.save`, a name that ends with ".Nii" would be written to ".nii".
        image.to_file_map({"image": FileHolder(str(temporary))})


def _open(path: str | Path, geometry: str | None) -> tuple[nib.Nifti1Pair, Grid, Forms | None]:
    """Return a NIfTI image with its voxels unread, its checked grid, and what else its header says of its place."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what nibabel makes of the forms is not used
            image = _load(path)
        if not isinstance(image, nib.Nifti1Pair):
            raise UserError(f"{path}: this is {type(image).__name__}, not NIfTI. Convert it to .nii or .nii.gz.")
        header = _header_as_it_stands(image)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    shape = image.shape
    text = "×".join(map(str, shape)) or "0"
    if min(shape, default=0) < 1:
        raise UserError(f"{path}: its header claims {text} voxels. It is damaged: copy or convert the file again.")
    if len(shape) < 3 or max(shape[3:], default=1) > 1:
        raise UserError(f"{path}: one three-dimensional volume is needed, this image is {text}. Extract one volume.")
    first = getattr(image.header, "single_vox_offset", 0) if "header" not in image.file_map else 0
    if header["vox_offset"] < first:
        raise UserError(
            f"{path}: its voxels begin at byte {header['vox_offset']:g} (vox_offset), inside the header of {first} "
            "bytes. The header is damaged: copy or convert the file again."
        )
    _check_size(path, image)
    affine, forms = locate(path, header, shape[:3], geometry)
    return image, Grid(tuple(shape[:3]), affine), forms


def _header_as_it_stands(image: nib.Nifti1Pair) -> nib.Nifti1Header:
    """Return a header without the repairs that nibabel makes while it loads: it sets a spacing of 0 to 1."""
    kind = type(image.header)
    with image.file_map.get("header", image.file_map["image"]).get_prepare_fileobj() as file:
        return kind(file.read(kind.sizeof_hdr), image.header.endianness, check=False)


def _load(path: str | Path) -> nib.filebasedimages.FileBasedImage:
    """Load a NIfTI file by its content: for a name that ends with ".Nii", `nib.load` would open ".nii"."""
    if not is_nifti(path):
        return nib.load(path)
    with ImageOpener(str(path)) as file:
        start = file.read(nib.Nifti2Header.sizeof_hdr)
    for image in (nib.Nifti1Image, nib.Nifti2Image):
        if image.header_class.may_contain_header(start):
            loaded: nib.filebasedimages.FileBasedImage = image.from_file_map({"image": FileHolder(str(path))})
            return loaded
    raise ImageFileError("it does not begin as NIfTI does")


def _check_size(path: str | Path, image: nib.Nifti1Pair) -> None:
    """Raise UserError where the header claims more than the file holds, before anything of that size is allocated."""
    voxels: Any = image.dataobj
    claimed = voxels.offset + math.prod(image.shape) * voxels.dtype.itemsize
    try:
        if _holds(Path(voxels.file_like), claimed):
            return
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    raise UserError(
        f"{path}: its header claims {'×'.join(map(str, image.shape))} voxels, {claimed:,} bytes with what comes before "
        "them, and the file holds less. It is truncated, or its header damaged: copy or convert the file again."
    )


def _holds(file: Path, claimed: int) -> bool:
    """Say whether a file, unpacked, holds at least `claimed` bytes.

    The last four bytes of a gzip file are its unpacked size modulo 2³² (RFC 1952, section 2.3.1). Where they do not
    match (several parts, trailing bytes, truncated) the file is unpacked and counted, up to `claimed`, and not kept.
    """
    size, suffix = file.stat().st_size, file.suffix.lower()
    if suffix not in ImageOpener.compress_ext_map:
        return size >= claimed
    if suffix == ".gz":
        if claimed > size * _DEFLATE_RATIO:
            return False
        with file.open("rb") as packed:
            packed.seek(-4, os.SEEK_END)
            if int.from_bytes(packed.read(), "little") == claimed % 2**32:
                return True
    with ImageOpener(str(file)) as unpacked:
        while claimed > 0 and (part := unpacked.read(min(claimed, 2**20))):
            claimed -= len(part)
    return claimed <= 0


def _stored(voxels: ArrayProxy) -> np.ndarray:
    """Return voxels as they are stored, all at once. A packed file is read to its end, where the checksum is."""
    path = Path(voxels.file_like)
    if path.suffix.lower() not in ImageOpener.compress_ext_map:
        return np.asarray(voxels)
    count = math.prod(voxels.shape)
    if unpacked := _unpack(path, voxels.offset + count * voxels.dtype.itemsize):
        return np.frombuffer(unpacked, voxels.dtype, count, voxels.offset)
    return np.concatenate([*_parts(voxels)])


def _parts(voxels: ArrayProxy) -> Iterator[np.ndarray]:
    """Yield scaled voxels flat, as the file has them. It is read to its end: damage may change values alone."""
    slope, inter = np.float64(voxels.slope), np.float64(voxels.inter)
    left = math.prod(voxels.shape)
    with ImageOpener(voxels.file_like) as file:
        file.read(voxels.offset)
        while left:
            stored = np.frombuffer(file.read(min(left, PART) * voxels.dtype.itemsize), voxels.dtype)
            if not len(stored):
                raise EOFError(f"{left:,} voxels are missing")
            left -= len(stored)
            yield apply_read_scaling(stored, slope, inter)
        while file.read(2**20):
            pass


def _finite_parts(path: str | Path, voxels: ArrayProxy) -> Iterator[np.ndarray]:
    """Yield scaled voxels as `_parts` does. Raises UserError, naming the file, where one is no 32-bit number."""
    for part in _parts(voxels):
        # The extremes are NaN where any voxel is.
        if not -_LARGEST <= float(part.min()) <= float(part.max()) <= _LARGEST:
            raise UserError(_not_finite(path, voxels))
        yield part


def _unpack(path: Path, size: int) -> bytearray | None:
    """Return the content of a gzip file of one part and of `size` bytes, each byte in memory once.

    Returns None where the file is anything else: no gzip, several parts, damaged, or followed by something.
    """
    unpacker, content, done = isal_zlib.decompressobj(wbits=31), bytearray(size), 0
    try:
        with path.open("rb") as file:
            while not unpacker.eof and (packed := unpacker.unconsumed_tail or file.read(2**18)):
                part = unpacker.decompress(packed, 2**20)
                if done + len(part) > size:
                    return None
                content[done : done + len(part)] = part
                done += len(part)
            return content if done == size and unpacker.eof and not (unpacker.unused_data or file.read(1)) else None
    except isal_zlib.error:  # type: ignore[misc]  # isal's types call the class an exception
        return None


def _not_finite(path: str | Path, voxels: ArrayProxy) -> str:
    places, done, finite = [], 0, True
    for part in _parts(voxels):
        places.append(done + np.flatnonzero(~(np.abs(part) <= _LARGEST)))
        finite = finite and bool(np.isfinite(part).all())
        done += len(part)
    bad = np.concatenate(places)
    first = tuple(int(index) for index in np.unravel_index(bad[0], voxels.shape[:3], order="F"))
    kind = "too large for 32-bit numbers" if finite else "NaN or infinite"
    slope = voxels.slope
    scaled = f" after they are multiplied by the header's scl_slope, {slope:g}" if slope != 1 else ""
    return (
        f"{path}: {len(bad)} voxels are {kind}{scaled}, the first at {first}. "
        "Convert the scan again, or replace them (air is -1000 HU)."
    )


def _unreadable(path: str | Path, error: Exception) -> UserError:
    if isinstance(error, PermissionError):
        return UserError(f"{path}: you may not read this file ({error.strerror}). Change its permissions.")
    reason = " ".join(str(error).split())
    return UserError(
        f"{path}: cannot be read as NIfTI ({reason}). "
        "It is truncated, damaged or of another format: copy or convert it again."
    )
