"""Grids in every orientation, and NIfTI files on them."""

import gzip
import itertools

import nibabel as nib
import numpy as np

LAS = np.array([[-0.8, 0, 0, 120], [0, 0.8, 0, -130], [0, 0, 8, -400], [0, 0, 0, 1.0]])
# Where the slice, row and column index grow to in radiological display.
DISPLAY = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
ORIENTATIONS = [
    "".join(codes) for axes in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*axes)
]
DIRECTION = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
# Voxels and mm along each axis of the body.
EXTENT = {"R": 3, "L": 3, "A": 4, "P": 4, "S": 5, "I": 5}
SPACING = {"R": 1.5, "L": 1.5, "A": 2.0, "P": 2.0, "S": 7.0, "I": 7.0}


def make_affine(orientation, tilt=0.0):
    """The affine of a grid whose axes point to `orientation`, then turned by `tilt` degrees in each world plane."""
    affine = np.diag([0.0, 0, 0, 1])
    affine[:3] = np.array([*(np.multiply(DIRECTION[code], SPACING[code]) for code in orientation), (-50, 60, -70)]).T
    cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    for i, j in itertools.combinations(range(3), 2):
        turn = np.eye(4)
        turn[[i, i, j, j], [i, j, i, j]] = cos, -sin, sin, cos
        affine = turn @ affine
    return affine


def save(path, data, affine=LAS, edit=None):
    """Write NIfTI and then edit the header in place, past nibabel, which would rescale data or repair headers."""
    nib.save(nib.Nifti1Image(data, affine), path)
    if edit:
        raw = gzip.decompress(path.read_bytes())
        header = nib.Nifti1Header(raw[:348])
        edit(header)
        path.write_bytes(gzip.compress(header.binaryblock + raw[348:]))
    return path


def some_hu(shape=(4, 5, 6)):
    return np.random.default_rng(0).integers(-1024, 3071, shape, dtype=np.int16)
