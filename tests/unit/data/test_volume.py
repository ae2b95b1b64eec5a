import itertools

import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff

from lesionbench.data.volume import PLANES, Grid, Volume, from_slices, match_grid, slice_spacing, to_slices
from lesionbench.errors import UserError
from oriented import DISPLAY, EXTENT, LAS, ORIENTATIONS, SPACING, make_affine, some_hu


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("tilt", [0, 20])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slices_lie_as_the_plane_says_and_lead_back(orientation, tilt):
    affine = make_affine(orientation, tilt)
    shape = tuple(EXTENT[code] for code in orientation)
    array = np.arange(np.prod(shape)).reshape(shape)
    # The voxel furthest to the patient's right, front and head.
    marker = array[tuple(-1 if code in "RAS" else 0 for code in orientation)]
    for plane, display in DISPLAY.items():
        stack = to_slices(array, affine, plane)
        assert stack.shape == tuple(EXTENT[code] for code in display)
        assert stack[tuple(-1 if code in "RAS" else 0 for code in display)] == marker
        assert slice_spacing(affine, plane) == pytest.approx([SPACING[code] for code in display])
        assert (from_slices(stack, affine, plane) == array).all()
    grid = Grid(shape, affine)
    assert grid.orientation == orientation
    assert grid.spacing == pytest.approx([SPACING[code] for code in orientation])
    assert grid.voxel_ml == pytest.approx(0.021)


def test_planes_name_the_directions_tested_here():
    assert set(PLANES) == set(DISPLAY)


def match(shape, affine, of=(4, 5, 6), **options):
    return match_grid("study_0255", Grid(of, LAS), Volume(np.zeros(shape, np.uint8), affine), **options)


def test_grids_within_the_tolerance_are_the_same(caplog):
    mask = Volume(some_hu() > 0, LAS + 9e-4)
    assert match_grid("study_0255", Volume(some_hu(), LAS), mask) is mask
    assert not caplog.records


@pytest.mark.parametrize("tilt", [0, 20, 45])
def test_a_mask_with_its_axes_in_any_order_comes_to_the_grid_of_its_ct(tilt, caplog):
    affine = make_affine("LAS", tilt)
    mask = np.random.default_rng(0).integers(0, 2, (3, 4, 5), dtype=np.uint8)
    for order, flips in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        change = np.array(list(zip(order, flips, strict=True)))
        other = Volume(apply_orientation(mask, change), affine @ inv_ornt_aff(change, mask.shape))
        back = match_grid("study_0255", Grid(mask.shape, affine), other)
        assert (back.data == mask).all() and back.affine == pytest.approx(affine, abs=1e-9)
    assert not caplog.records


def test_other_shapes_are_named():
    with pytest.raises(UserError, match=r"study_0255: CT and mask .* 4×5×6 and 4×5×7"):
        match((4, 5, 7), LAS)
    swapped = LAS[:, [0, 2, 1, 3]]
    assert match((4, 6, 5), swapped).data.shape == (4, 5, 6)
    with pytest.raises(UserError, match=r"4×5×6 and 4×6×5"):
        match((4, 5, 6), swapped)


def test_the_largest_distance_between_grids_is_told():
    shifted = LAS.copy()
    shifted[:3, 3] += 0, 3, 4
    with pytest.raises(UserError, match=r"study_0255: reference and prediction .* up to 5 mm apart"):
        match((4, 5, 6), shifted, names=("reference", "prediction"))
    flipped = LAS @ np.diag([-1.0, 1, 1, 1])
    with pytest.raises(UserError, match=r"\(LAS and RAS\).* up to 2.4 mm apart"):
        match((4, 5, 6), flipped)


@pytest.mark.parametrize(("shift", "fits"), [((0.39, 0, 0), True), ((0.41, 0, 0), False), ((0.39, -0.39, 3.9), True)])
def test_a_grid_less_than_half_a_voxel_away_is_taken_with_a_warning(caplog, shift, fits):
    shifted = LAS.copy()
    shifted[:3, 3] += shift
    distance = f"{np.linalg.norm(shift):.4g} mm apart"
    if fits:
        assert (match((4, 5, 6), shifted).affine == LAS).all()
        assert distance in caplog.text and "study_0255: CT and mask lie" in caplog.text
    else:
        with pytest.raises(UserError, match=distance):
            match((4, 5, 6), shifted)


def test_every_corner_counts_and_so_does_the_thickness_of_a_single_slice():
    # From the first voxel's centre to the far corner it is 9.5 voxels.
    assert (match((10, 5, 6), LAS @ np.diag([1.052, 1, 1, 1]), of=(10, 5, 6)).affine == LAS).all()
    with pytest.raises(UserError, match=r"up to 0\.4028 mm apart"):
        match((10, 5, 6), LAS @ np.diag([1.053, 1, 1, 1]), of=(10, 5, 6))
    thick = LAS @ np.diag([1, 1, 3.0, 1])
    with pytest.raises(UserError, match="up to 8 mm apart"):
        match((4, 5, 1), thick, of=(4, 5, 1))
