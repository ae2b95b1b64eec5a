"""Probabilities of lesion kept beside masks: 8 bits a voxel, on the CT's grid, in a form that viewers read."""

from pathlib import Path

import numpy as np

from lesionbench.data.nifti import read_voxels, write_volume
from lesionbench.data.volume import Volume
from lesionbench.errors import UserError

SECONDS = "seconds.csv"  # in the folder of a run's masks: study, seconds
FOLDER = "probabilities"  # in the folder of a run's masks
LEVELS = 255  # a voxel holds its probability × 255, rounded
# A threshold is halfway between two levels: then the levels kept tell exactly which probabilities reach it.
THRESHOLDS = (np.arange(1, LEVELS + 1) - 0.5) / LEVELS


def probability_path(folder: str | Path, study: str) -> Path:
    """Return the file of a study's probabilities in the folder of a run's masks."""
    return Path(folder, FOLDER, f"{study}.nii.gz")


def write_probability(probability: Volume, path: str | Path) -> None:
    """Write probabilities (i, j, k), 0 to 1; a viewer shows 0 to 1 as well."""
    write_volume(path, to_levels(probability.data), probability.affine, probability.forms, slope=1 / LEVELS)


def to_levels(probability: np.ndarray) -> np.ndarray:
    """Return probabilities, 0 to 1, as levels of 0 to 255, uint8."""
    levels: np.ndarray = np.rint(probability * LEVELS).astype(np.uint8)
    return levels


def read_levels(path: str | Path) -> Volume:
    """Return what `write_probability` wrote, as levels (i, j, k) of 0 to 255, uint8.

    Raises UserError, naming the file, where it cannot be read or holds anything but probabilities.
    """
    volume = read_voxels(path)
    if not 0 <= volume.data.min() <= volume.data.max() <= 1 + 1e-6:  # the slope is a 32-bit number
        raise UserError(f"{path}: these are no probabilities of 0 to 1. Delete the folder and run the workflow again.")
    return Volume(to_levels(volume.data), volume.affine, volume.forms)
