"""The same scan twice: by its voxels, by what it looks like, and what names of studies tell of their patients."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lesionbench.data.arrays import Form, read_arrays
from lesionbench.data.volume import Volume, to_slices
from lesionbench.errors import UserError
from lesionbench.files import atomic

# Slices, rows and columns of a fingerprint, in axial display orientation; what is stored is one byte a voxel.
SHAPE = (24, 32, 32)
WINDOW = (-1000, 400)  # HU
# Two scans are the same where both correlations are higher: of the fingerprints, and of what is left of them without
# the mean of all others, which is the shape that every chest has.
SIMILAR, ALONE = 0.95, 0.91
MOST_SCANS = 10  # of a patient; names that begin alike and are more begin with something else
_BLOCK = 128


class Pair(NamedTuple):
    """Two studies, by position, that hold the same scan; correlation is 1 where the fingerprints are equal."""

    first: int
    second: int
    correlation: float


def fingerprint(ct: Volume) -> np.ndarray:
    """Return a CT (HU) shrunk to SHAPE, in steps of 5.5 HU, as uint8 in one dimension."""
    slices = to_slices(ct.data, ct.affine, "axial")
    sizes = zip(slices.shape, SHAPE, strict=True)
    step = tuple(slice(None, None, max(1, size // (2 * wanted))) for size, wanted in sizes)
    low, high = WINDOW
    small = np.clip(slices[step], low, high).astype(np.float32)
    for size in SHAPE:  # the first axis becomes the last
        small = _shrunk(small, size)
    return np.asarray(np.rint((small - low) * (255 / (high - low))).astype(np.uint8).ravel())


def write_fingerprints(fingerprints: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Write fingerprints by study as npz."""
    names, rows = np.array(list(fingerprints), np.str_), np.array(list(fingerprints.values()), np.uint8)
    with atomic(path) as temporary:
        np.savez(temporary, studies=names, fingerprints=rows.reshape(len(names), math.prod(SHAPE)))


def read_fingerprints(path: str | Path) -> dict[str, np.ndarray]:
    """Read what `write_fingerprints` wrote. Raises UserError, naming the file, where it is missing or damaged."""
    forms = {"studies": Form("U", (None,)), "fingerprints": Form("uint8", (None, math.prod(SHAPE)))}
    try:
        arrays = read_arrays(path, forms)
        return dict(zip(arrays["studies"].tolist(), arrays["fingerprints"], strict=True))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as fingerprints ({error}). Delete it and run the workflow again, which writes it."
        ) from error


def _shrunk(array: np.ndarray, size: int) -> np.ndarray:
    """Return the means of `size` equal parts of the first axis, as the last axis."""
    means = np.empty((*array.shape[1:], size), np.float32)
    for part, weights in enumerate(_parts(len(array), size)):
        first, last = np.flatnonzero(weights)[[0, -1]]
        # BLAS would start threads for little.
        means[..., part] = np.einsum("abc,a->bc", array[first : last + 1], weights[first : last + 1])
    return means


def _parts(length: int, size: int) -> np.ndarray:
    """Return weights (size, length): each row is the mean of an equal part of an axis, parts of voxels included."""
    edges = np.linspace(0, length, size + 1)[:, None]
    voxels = np.arange(length)
    weights = np.clip(np.minimum(edges[1:], voxels + 1) - np.maximum(edges[:-1], voxels), 0, None)
    return np.asarray(weights * (size / length), np.float32)


def same_scans(fingerprints: Sequence[np.ndarray]) -> list[Pair]:
    """Return the pairs that look like one scan.

    What all others have in common is taken out of a pair where there are others. Memory grows by a fingerprint a study
    and by a block of correlations.
    """
    count = len(fingerprints)
    if count < 2:
        return []
    blocks = range(0, count, _BLOCK)
    total = sum(_unit(fingerprints[start : start + _BLOCK]).sum(axis=0, dtype=np.float64) for start in blocks)
    sums = np.concatenate([_unit(fingerprints[start : start + _BLOCK]) @ total for start in blocks])
    pairs = []
    for start in blocks:
        rows = _unit(fingerprints[start : start + _BLOCK])
        for other in range(start, count, _BLOCK):
            columns = _unit(fingerprints[other : other + _BLOCK])
            plain = (rows @ columns.T).astype(np.float64)
            alone = _without_others(plain, sums[start : start + _BLOCK], sums[other : other + _BLOCK], total, count)
            found = np.argwhere((plain > SIMILAR) & (alone > ALONE)).tolist()
            pairs += [(start + i, other + j, float(plain[i, j])) for i, j in found if start + i < other + j]
    return [Pair(i, j, 1.0 if (fingerprints[i] == fingerprints[j]).all() else min(r, 0.9999)) for i, j, r in pairs]


def _unit(fingerprints: Sequence[np.ndarray]) -> np.ndarray:
    """Return fingerprints as rows of mean 0 and length 1; a constant one is 0."""
    rows = np.stack(fingerprints).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6))


def _without_others(
    plain: np.ndarray, rows: np.ndarray, columns: np.ndarray, total: np.ndarray, count: int
) -> np.ndarray:
    """Return the correlations of pairs less the mean of all other fingerprints; `plain` where there are no others.

    plain: of rows and columns, which are their products with `total`, the sum of all `count`.
    """
    if count < 3:
        return plain
    i, j = rows[:, None], columns[None]
    # Products of i, j and the mean m of the others, from those with the total: m = (total − i − j) / (count − 2).
    im, jm = (i - 1 - plain) / (count - 2), (j - 1 - plain) / (count - 2)
    mm = (total @ total + 2 + 2 * plain - 2 * i - 2 * j) / (count - 2) ** 2
    lengths = np.maximum(1 - 2 * im + mm, 1e-9) * np.maximum(1 - 2 * jm + mm, 1e-9)
    return np.asarray((plain - im - jm + mm) / np.sqrt(lengths))


def same_contents(digests: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each study whose file has the bytes of an earlier one's, after that one; `digests` are by study."""
    first: dict[str, str] = {}
    for study, digest in digests.items():
        if first.setdefault(digest, study) != study:
            yield first[digest], study


def patients_in_names(names: Iterable[str]) -> list[list[str]]:
    """Return groups of studies whose names tell that they may be of one patient.

    Names of the same words with at least two numbers, such as `radiopaedia_29_86490_1` and `radiopaedia_29_86491_1`,
    are grouped by the first number that differs between names. Where many names share it, it is no patient's.
    """
    families = defaultdict(list)
    for name in names:
        families[re.sub(r"\d+", "#", name)].append(name)
    found = []
    for family in families.values():
        numbers = [re.findall(r"\d+", name) for name in family]
        differing = [place for place, values in enumerate(zip(*numbers, strict=True)) if len(set(values)) > 1]
        if not differing or differing[0] == len(numbers[0]) - 1:
            continue
        groups = defaultdict(list)
        for name, values in zip(family, numbers, strict=True):
            groups[values[differing[0]]].append(name)
        if max(map(len, groups.values())) <= MOST_SCANS:
            found += [sorted(group) for group in groups.values() if len(group) > 1]
    return sorted(found)
