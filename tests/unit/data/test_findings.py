import re

import numpy as np
import pytest
from scipy import ndimage

from lesionbench.data.findings import ERROR, WARNING, check_grid, check_mask, check_values
from lesionbench.data.phantom import synthesise
from lesionbench.data.studies import Phantom
from lesionbench.data.volume import Grid, to_slices

AFFINE = np.diag([-0.8, 0.8, 8.0, 1.0])


@pytest.fixture(scope="module", params=["CT-1", "CT-4"])
def study(request):
    """The axial slices (HU, lesion) of a phantom with few or very many lesions."""
    ct, mask = synthesise("study", request.param, Phantom(size=64, slices=(12, 12)))
    return to_slices(ct.data, ct.affine, "axial"), to_slices(mask, ct.affine, "axial")


def found(checks):
    return [(check.severity, check.kind) for check in checks]


def without_edges(image):
    """Where air is inside the body, slice by slice: the lungs."""
    labels, _ = ndimage.label(image < -500, np.array([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))]))
    edge = np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()])
    return (labels > 0) & ~np.isin(labels, edge)


def test_a_chest_in_hu_is_not_complained_of(study):
    hu, lesion = study
    assert not found(check_values(hu)) and not found(check_mask(hu, lesion))
    assert not found(check_values(hu.astype(np.float32) + 0.25))
    assert not found(check_grid(Grid((512, 512, 41), AFFINE)))


@pytest.mark.parametrize("air", [-1000, -1024])
@pytest.mark.parametrize("tissue", [300, 1500])
def test_clipped_values_are_still_hu(study, air, tissue):
    assert not found(check_values(np.clip(study[0], air, tissue)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda hu: hu + 1024, "about 1000 too high"),
        (lambda hu: (hu + 1024).astype(np.uint16), "about 1000 too high"),
        (lambda hu: hu - 1024, "about 1000 too low"),
        (lambda hu: hu * 0.5, "air or lung have their peak at -5"),
        (lambda hu: hu * 10.0, "air or lung have their peak at"),
        (lambda hu: np.clip((hu + 1350) / 1500 * 255, 0, 255).astype(np.uint8), "grey values of a window"),
        (lambda hu: np.clip((hu + 1350) / 1500, 0, 1).astype(np.float32), "grey values of a window"),
        (lambda hu: np.clip(hu / 1000, -1, 1), "from -1 to .*: too few"),
        (lambda hu: (hu - hu.mean()) / hu.std(), "too few for HU"),
        (lambda hu: np.clip(hu, -160, 240), "none is of air or lung"),
        (lambda hu: np.full_like(hu, -1000), "every voxel is -1000"),
    ],
)
def test_values_that_are_no_hu_are_an_error_that_says_why(study, spoil, said):
    (check,) = check_values(spoil(study[0]))
    assert check.severity == ERROR and check.kind in ("no-hu", "constant")
    assert re.search(said, check.what), check.what


def test_a_scan_cut_to_its_lungs_is_warned_of_and_no_error(study):
    hu = study[0]
    lungs = np.where(without_edges(hu), hu, -1024)
    assert {severity for severity, _ in found(check_values(lungs))} <= {WARNING}


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_padding_is_told_with_its_share(study, padding):
    hu = study[0].copy()
    hu[:, :8] = padding
    (check,) = check_values(hu)
    assert (check.severity, check.kind) == (WARNING, "padding")
    assert check.what.startswith(("12.", "13.")) and f"{padding} HU" in check.what


def test_values_that_are_no_hu_are_found_behind_padding(study):
    hu = study[0] + 1024
    hu[:, :8] = -2000
    assert found(check_values(hu)) == [(ERROR, "no-hu"), (WARNING, "padding")]


def test_an_empty_mask_is_told_with_and_without_a_ct(study):
    hu, lesion = study
    for image in (hu, None):
        assert found(check_mask(image, np.zeros_like(lesion))) == [(WARNING, "empty-mask")]


def test_a_mask_beside_the_body_is_an_error_and_one_that_leaves_it_a_warning(study):
    hu, lesion = study
    beside = np.zeros_like(lesion)
    beside[:, :6, :30] = 1
    assert found(check_mask(hu, beside)) == [(ERROR, "outside-body")]
    partly = lesion.copy()
    partly[np.flatnonzero(lesion.any(axis=(1, 2)))[: len(lesion) // 2], :2, : 2 + lesion.sum() // 100] = 1
    assert found(check_mask(hu, partly)) == [(WARNING, "outside-body")]


def test_a_mask_of_the_lungs_is_an_error(study):
    hu, lesion = study
    lungs = without_edges(hu) | (lesion > 0)
    severities = found(check_mask(hu, lungs.astype(np.uint8)))
    # Of a phantom with lesions everywhere the lungs are not aerated: that lesions fill them is worth a look.
    assert severities in ([(ERROR, "lungs")], [(WARNING, "large-share")])


def test_lesions_that_fill_aerated_lungs_in_one_slice_only_are_no_mask_of_the_lungs(study):
    hu, lesion = study
    one = np.zeros_like(lesion)
    one[len(hu) // 2] = without_edges(hu)[len(hu) // 2]
    assert not found(check_mask(hu, one))


def test_a_few_voxels_of_lesion_say_nothing(study):
    hu, lesion = study
    few = np.zeros_like(lesion)
    few[0, :2, :2] = 1
    assert not found(check_mask(hu, few))


def test_sheared_axes_are_told_with_their_angle():
    sheared = AFFINE.copy()
    sheared[1, 2] = 8 * np.tan(np.radians(12))
    (check,) = check_grid(Grid((512, 512, 41), sheared))
    assert (check.severity, check.kind) == (WARNING, "sheared") and "12.0°" in check.what
    sheared[1, 2] = 8 * np.tan(np.radians(0.5))
    assert not found(check_grid(Grid((512, 512, 41), sheared)))


def test_an_oblique_grid_is_not_sheared():
    cos, sin = np.cos(0.3), np.sin(0.3)
    turn = np.array([[1, 0, 0, 0], [0, cos, -sin, 0], [0, sin, cos, 0], [0, 0, 0, 1]])
    assert not found(check_grid(Grid((512, 512, 41), turn @ AFFINE)))


def test_one_slice_is_told():
    assert found(check_grid(Grid((512, 512, 1), AFFINE))) == [(WARNING, "one-slice")]


@pytest.mark.parametrize("factor", [0.001, 10])
def test_a_spacing_in_another_unit_is_told(factor):
    affine = AFFINE * factor
    assert found(check_grid(Grid((512, 512, 41), affine))) == [(WARNING, "extent")]
