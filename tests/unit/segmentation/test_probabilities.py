"""Probabilities come back as they were written, to half a level, and every viewer shows 0 to 1."""

import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.nifti import write_volume
from lesionbench.data.volume import Volume
from lesionbench.errors import UserError
from lesionbench.segmentation.probabilities import (
    LEVELS,
    THRESHOLDS,
    probability_path,
    read_levels,
    to_levels,
    write_probability,
)

AFFINE = np.diag([-2, -2, 5, 1.0])


def random_probability():
    return Volume(np.random.default_rng(0).random((7, 6, 5), np.float32), AFFINE)


def test_what_was_written_is_read_on_the_same_grid(tmp_path):
    path, probability = probability_path(tmp_path, "study_0001"), random_probability()
    write_probability(probability, path)
    levels = read_levels(path)
    assert levels.data.dtype == np.uint8 and (levels.data == to_levels(probability.data)).all()
    assert (levels.affine == AFFINE).all() and abs(levels.data / LEVELS - probability.data).max() <= 0.5 / LEVELS + 1e-6


def test_a_viewer_sees_zero_to_one_in_a_byte_a_voxel(tmp_path):
    path = tmp_path / "probability.nii.gz"
    write_probability(Volume(np.array([0, 0.5, 1], np.float32).reshape(3, 1, 1), AFFINE), path)
    image = nib.load(path)
    assert image.get_data_dtype() == np.uint8
    assert image.get_fdata().ravel() == pytest.approx([0, 0.5, 1], abs=0.5 / LEVELS + 1e-6)


def test_levels_tell_exactly_which_probabilities_reach_a_threshold():
    probability = random_probability().data
    for level, threshold in enumerate(THRESHOLDS, start=1):
        assert ((probability >= threshold) == (to_levels(probability) >= level)).all()
    assert 0.5 in THRESHOLDS


def test_what_is_no_probability_is_refused_by_the_files_name(tmp_path):
    write_volume(tmp_path / "ct.nii.gz", np.full((3, 3, 3), 40, np.int16), AFFINE)
    with pytest.raises(UserError, match=r"ct\.nii\.gz: these are no probabilities"):
        read_levels(tmp_path / "ct.nii.gz")
