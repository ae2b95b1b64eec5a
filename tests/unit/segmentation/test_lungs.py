from dataclasses import replace

import numpy as np
import pytest

from lesionbench.data.phantom import lungs_of, synthesise
from lesionbench.data.studies import Phantom
from lesionbench.data.volume import Volume, from_slices, to_slices
from lesionbench.segmentation.lungs import LEFT, RIGHT, find_lungs
from oriented import make_affine

PHANTOM = Phantom(studies=4, annotated=2, size=96, slices=(30, 34), seed=3)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def sides_of(lungs, affine):
    """The phantom's lungs as right and left of its mediastinum, on its own grid."""
    axial = to_slices(lungs, affine, "axial")
    return from_slices(
        np.where(axial, np.where(np.arange(axial.shape[2]) < axial.shape[2] / 2, RIGHT, LEFT), 0), affine, "axial"
    )


@pytest.fixture(scope="module")
def chest():
    """A phantom of CT-1, its lungs by side, and what is found in it."""
    ct, _ = synthesise("study_1", "CT-1", PHANTOM)
    return ct, sides_of(lungs_of("study_1", PHANTOM), ct.affine), find_lungs(ct)


def changed(ct, change):
    """A copy of a CT whose axial slices (slice, row, column) were changed in place."""
    copy = Volume(ct.data.copy(), ct.affine)
    change(to_slices(copy.data, copy.affine, "axial"))
    return copy


@pytest.mark.parametrize("category", ["CT-3", "CT-4"])
@pytest.mark.parametrize("study", ["study_1", "study_2"])
def test_lungs_keep_their_dense_lesions(study, category):
    ct, lesion = synthesise(study, category, PHANTOM)
    truth = sides_of(lungs_of(study, PHANTOM), ct.affine)
    found = find_lungs(ct)
    assert not found.failure and not found.warning
    assert found.mask.dtype == np.uint8 and found.mask.shape == ct.data.shape
    assert dice(found.mask > 0, truth > 0) > 0.95
    assert all(dice(found.mask == side, truth == side) > 0.93 for side in (RIGHT, LEFT))
    assert (found.mask[lesion > 0] > 0).mean() > 0.7


def test_what_is_no_lung_is_left_out(chest):
    ct, truth, found = chest
    assert dice(found.mask > 0, truth > 0) > 0.98
    axial, mask = (to_slices(array, ct.affine, "axial") for array in (ct.data, found.mask))
    trachea = axial[len(axial) * 3 // 4, 40:64, 40:56] < -900
    assert trachea.any() and not mask[len(axial) * 3 // 4, 40:64, 40:56][trachea].any()


def test_gas_in_the_gut_and_a_hollow_table_are_left_out(chest):
    ct, truth, _ = chest
    lowest = np.flatnonzero(to_slices(truth, ct.affine, "axial").any(axis=(1, 2)))[0]

    def add(axial):
        axial[: lowest + 2, 38:48, 56:66] = -1000  # a bubble of 37 mm that reaches up to the diaphragm
        axial[:, 84:92, 10:86] = -880  # foam
        axial[:, [83, 84, 91, 92], 10:86] = 200

    found = find_lungs(changed(ct, add))
    assert dice(found.mask > 0, truth > 0) > 0.97


def test_lungs_that_touch_are_told_apart(chest):
    ct, truth, _ = chest
    middle = ct.data.shape[2] // 2

    def join(axial):
        axial[middle - 4 : middle + 4, 22:28, 36:60] = -850  # in front of the heart

    found = find_lungs(changed(ct, join))
    assert all(dice(found.mask == side, truth == side) > 0.96 for side in (RIGHT, LEFT))


@pytest.mark.parametrize("orientation", ["RPI", "SRA", "ASL"])
def test_the_order_of_the_axes_does_not_matter(chest, orientation):
    ct, _, found = chest
    affine = make_affine(orientation)
    data, expected = (
        np.ascontiguousarray(from_slices(to_slices(array, ct.affine, "axial"), affine, "axial"))
        for array in (ct.data, found.mask)
    )
    spacing = [8 if code in "SI" else 3.75 for code in orientation]
    affine[:3, :3] *= spacing / np.linalg.norm(affine[:3, :3], axis=0)
    assert np.array_equal(find_lungs(Volume(data, affine)).mask, expected)


@pytest.mark.parametrize("times", [(4, 4, 1), (1, 1, 5)])
def test_lungs_are_found_at_any_size_of_voxels(chest, times):
    ct, truth, _ = chest
    fine = Volume(np.kron(ct.data, np.ones(times, np.int16)), ct.affine @ np.diag([*(1 / np.array(times)), 1]))
    found = find_lungs(fine)
    assert dice(found.mask > 0, np.kron(truth, np.ones(times, int)) > 0) > 0.97


def test_a_scan_that_ends_within_the_lungs_is_segmented_to_its_ends(chest):
    ct, truth, _ = chest
    part = slice(ct.data.shape[2] * 2 // 5, ct.data.shape[2] * 4 // 5)
    found = find_lungs(Volume(ct.data[:, :, part], ct.affine))
    assert not found.failure
    assert dice(found.mask > 0, truth[:, :, part] > 0) > 0.97


def test_a_slice_that_was_scaled_by_itself_is_found_as_well(chest):
    ct, truth, _ = chest
    dark = ct.data.shape[2] // 2

    def darken(axial):
        axial[dark] = (axial[dark].astype(float) + 1000) * 0.35 - 1000

    found = to_slices(find_lungs(changed(ct, darken)).mask, ct.affine, "axial")[dark]
    assert dice(found > 0, to_slices(truth, ct.affine, "axial")[dark] > 0) > 0.95


def test_a_lung_that_is_dense_as_a_whole_is_a_warning(chest):
    ct, truth, _ = chest
    found = find_lungs(Volume(np.where(truth == LEFT, 30, ct.data).astype(np.int16), ct.affine))
    assert not found.failure and "of the left lung only 0.0" in found.warning
    assert dice(found.mask == RIGHT, truth == RIGHT) > 0.9


@pytest.mark.parametrize(
    ("data", "scale", "reason"),
    [
        (lambda ct, truth: np.where(truth > 0, 30, ct), 1, "no lungs were found"),
        (lambda ct, truth: np.full_like(ct, -1000), 1, "no lungs were found"),
        (lambda ct, truth: np.full_like(ct, 40), 1, "no lungs were found"),
        (lambda ct, truth: ct, 0.5, "those of an adult 1 to 9"),
        (lambda ct, truth: ct, 1.5, "those of an adult 1 to 9"),
    ],
)
def test_it_says_when_it_fails(chest, data, scale, reason):
    ct, truth, _ = chest
    volume = Volume(data(ct.data, truth).astype(np.int16), ct.affine @ np.diag([scale, scale, scale, 1]))
    found = find_lungs(volume)
    assert reason in found.failure
    assert found.mask.any() == (scale != 1)


def test_the_same_phantom_at_another_size_has_the_same_lungs():
    coarse, fine = (lungs_of("study_1", replace(PHANTOM, size=size)).mean() for size in (64, 128))
    assert coarse == pytest.approx(fine, rel=0.05)
