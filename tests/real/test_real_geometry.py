"""Anatomy lies where the planes say it does, and masks come back to their grid, on real studies."""

import numpy as np
import pytest

from lesionbench.data.nifti import write_mask
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.data.slices import stack_slices
from lesionbench.data.volume import PLANES, from_slices, to_slices


@pytest.fixture(scope="module")
def scans(test_data):
    """The ten studies whose HU are calibrated well enough to tell bone. Anatomy varies; their sum does not."""
    folder = test_data / "covid-ct-20" / "studies" / "CT-1"
    return [read_ct(folder / f"study_{number:04d}.nii.gz") for number in range(1, 11)]


def halves(scans, plane, axis, low, high):
    """Count the voxels between two HU in the first and the second half of all pictures along an axis."""
    counts = [0, 0]
    for ct in scans:
        pictures = to_slices(ct.data, ct.affine, plane)
        if plane == "sagittal":  # the quarter about the midline
            pictures = pictures[len(pictures) * 3 // 8 : len(pictures) * 5 // 8]
        for half, part in enumerate(np.array_split(pictures, 2, axis=axis)):
            counts[half] += np.count_nonzero((part > low) & (part < high))
    return counts


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_the_right_lung_is_on_the_left_of_the_picture(scans, plane):
    left, right = halves(scans, plane, 2, -950, -600)
    assert left > right  # the heart takes its room from the left lung


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_the_solid_abdomen_is_at_the_bottom_of_the_picture(scans, plane):
    top, bottom = halves(scans, plane, 1, -100, 200)
    assert bottom > top


@pytest.mark.parametrize("plane, axis", [("axial", 1), ("sagittal", 2)])
def test_the_spine_is_at_the_bottom_of_axial_and_on_the_right_of_sagittal_pictures(scans, plane, axis):
    front, back = halves(scans, plane, axis, 250, 2000)
    assert back > front


@pytest.mark.parametrize("plane", PLANES)
def test_a_real_mask_goes_to_slices_and_back_to_the_same_file(tmp_path, test_data, plane):
    reference = read_mask(test_data / "mosmed-masks" / "masks" / "study_0255_mask.nii.gz")
    stack = stack_slices("study_0255", reference, reference, Preprocessing(plane))
    write_mask(tmp_path / "mask.nii.gz", from_slices(stack.mask, stack.affine, plane), stack.affine)
    written = read_mask(tmp_path / "mask.nii.gz")
    assert reference.data.any() and np.array_equal(written.data, reference.data)
    assert np.array_equal(written.affine, reference.affine)
