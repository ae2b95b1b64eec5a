"""Arrays in npz files of our own: what their headers claim is checked against the file before anything is read.

Pickled objects are never loaded.
"""

import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from lesionbench.files import open_regular

# What zipfile and numpy raise for what is no npz file.
_DAMAGED = (EOFError, KeyError, RuntimeError, SyntaxError, TypeError, TokenError, zipfile.BadZipFile, zlib.error)
_LONGEST_HEADER = 10_000  # bytes, as of numpy


@dataclass(frozen=True)
class Form:
    """What an array must be: its type, as numpy's kind or a name, and its axes, None for any length."""

    type: str
    shape: tuple[int | None, ...] = ()
    needed: bool = True

    def problem(self, dtype: np.dtype, shape: tuple[int, ...]) -> str:
        """Return what is wrong with an array of this type and shape, "" where nothing is."""
        if self.type not in (dtype.kind, dtype.name):
            return f"of type {dtype.name}, and not {self.type}"
        fits = len(shape) == len(self.shape) and all(
            wanted in (None, size) for size, wanted in zip(shape, self.shape, strict=True)
        )
        return "" if fits else f"of shape {shape}"


def read_arrays(path: str | Path, forms: Mapping[str, Form]) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file that `forms` names, and no others.

    Raises OSError where there is no such file, ValueError where it is damaged, or an array is missing, packed, not of
    its form, holds NaN or infinity, or is claimed to be of another size than the file holds.
    """
    read_shapes(path, forms)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in forms if name in arrays}
    except _DAMAGED as error:
        raise ValueError(str(error)) from error
    for name, array in found.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
    return found


def read_shapes(path: str | Path, forms: Mapping[str, Form]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays that `forms` names, by their headers alone. Raises as `read_arrays` does."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            if missing := [name for name, form in forms.items() if form.needed and name not in members]:
                raise ValueError(f"it has no {missing[0]}")
            if len(members) < len(archive.infolist()):
                raise ValueError("it has two arrays of one name")
            return {name: _shape(archive, members[name], form) for name, form in forms.items() if name in members}
    except _DAMAGED as error:
        raise ValueError(str(error)) from error


def _shape(archive: zipfile.ZipFile, member: zipfile.ZipInfo, form: Form) -> tuple[int, ...]:
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise ValueError(f"{member.filename} is packed")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file, max_header_size=_LONGEST_HEADER)
        size = file.tell() + math.prod(shape) * dtype.itemsize
    if problem := form.problem(dtype, shape):
        raise ValueError(f"{member.filename} is {problem}")
    if size != member.file_size:
        raise ValueError(f"{member.filename} claims {size:,} bytes and has {member.file_size:,}")
    return shape
