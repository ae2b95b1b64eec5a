"""What a network sees of a study, resampled and cropped, lies where the study lies, and so does the way back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.slices import SliceStack
from lesionbench.training.resampling import find_frame

SPACING = np.array([5.0, 0.8, 0.7])
SIDE = st.integers(1, 40)


def study(image):
    return SliceStack("study_0001", "axial", image.astype(np.int16), None, np.eye(4), SPACING)


def positions(shape, spacing, axis):
    """Where the centres of voxels lie along an axis in mm from the outer edge of the first, in a shape to broadcast."""
    return ((np.arange(shape[axis]) + 0.5) * spacing[axis]).reshape([-1 if n == axis else 1 for n in range(3)])


def ramp(shape, spacing, axis):
    """HU that are ten times the position in mm along an axis."""
    return np.broadcast_to(10 * positions(shape, spacing, axis), shape).round().astype(np.int16)


def inner(array, axis):
    """The voxels between the second and the last but one: linear interpolation has no neighbour beyond the ends."""
    return np.moveaxis(np.asarray(array), axis, 0)[2:-2]


def test_without_spacing_and_size_a_network_sees_the_study_itself():
    stack = study(np.arange(60).reshape(3, 4, 5))
    frame = find_frame(stack, Preprocessing())
    assert not frame.changes and (frame.cut(stack.image).numpy() == stack.image).all()
    assert (frame.spacing(SPACING) == SPACING).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("wanted", [[1.4, 1.5], [0.5, 0.4], [3, 1.4, 1.5], [8, 0.8, 0.7]])
def test_resampled_hu_lie_where_they_lay(axis, wanted):
    stack = study(ramp((20, 60, 80), SPACING, axis))
    frame = find_frame(stack, Preprocessing(spacing=wanted))
    seen, spacing = frame.cut(stack.image).numpy(), frame.spacing(SPACING)
    asked = [*SPACING[:1], *wanted][-3:]
    assert seen.dtype == np.int16 and spacing == pytest.approx(asked, rel=0.05)
    # The outer edges stay, so that both grids cover the same millimetres.
    assert seen.shape * spacing == pytest.approx(stack.image.shape * SPACING)
    assert inner(seen, axis) == pytest.approx(inner(ramp(seen.shape, spacing, axis), axis), abs=1.01)


@pytest.mark.parametrize("wanted", [[1.4, 1.5], [0.5, 0.4], [3, 1.4, 1.5]])
def test_the_way_back_is_exact_in_place(wanted):
    stack = study(np.zeros((20, 60, 80)))
    frame = find_frame(stack, Preprocessing(spacing=wanted))
    for axis in range(3):
        seen = frame.cut(stack.image).shape
        share = np.broadcast_to(positions(seen, frame.spacing(SPACING), axis) / 100, seen)
        restored = frame.restore(torch.from_numpy(share.astype(np.float32))).numpy()
        expected = np.broadcast_to(positions(restored.shape, SPACING, axis) / 100, restored.shape)
        assert restored.shape == stack.image.shape
        assert inner(restored, axis) == pytest.approx(inner(expected, axis), abs=1e-4)


def test_a_mask_keeps_its_labels_its_volume_and_its_place_there_and_back():
    mask = np.zeros((20, 60, 80), np.uint8)
    mask[4:14, 11:40, 31:60] = 1
    frame = find_frame(study(np.zeros(mask.shape)), Preprocessing(spacing=[4, 1.1, 1.2]))
    seen = frame.cut(mask)
    assert seen.dtype == torch.uint8 and seen.unique().tolist() == [0, 1]
    assert seen.sum() * frame.spacing(SPACING).prod() == pytest.approx(mask.sum() * SPACING.prod(), rel=0.1)
    back = frame.restore(seen.float()).numpy() >= 0.5
    assert 2 * (back & (mask == 1)).sum() / (back.sum() + mask.sum()) > 0.95
    assert np.argwhere(back).mean(axis=0) == pytest.approx(np.argwhere(mask).mean(axis=0), abs=0.3)


def body_at(row, column, shape=(3, 60, 80)):
    """Air with soft tissue of 21 × 31 pixels about a pixel."""
    image = np.full(shape, -1000)
    image[:, row - 10 : row + 11, column - 15 : column + 16] = 40
    return study(image)


@pytest.mark.parametrize(
    ("stack", "size", "rows", "columns"),
    [
        (body_at(30, 40), (24, 32), (18, 42), (24, 56)),
        (body_at(20, 60), (24, 32), (8, 32), (44, 76)),
        (body_at(12, 62), (40, 48), (0, 40), (32, 80)),  # at the border: as many pixels as there are
        (body_at(30, 40), (70, 32), (0, 60), (24, 56)),  # fewer rows than asked for
        (study(np.full((3, 60, 80), -1000)), (20, 30), (20, 40), (25, 55)),  # no body
    ],
)
def test_slices_are_cropped_about_the_body_and_restored_where_they_were(stack, size, rows, columns):
    frame = find_frame(stack, Preprocessing(size=size))
    assert frame.changes and (frame.rows, frame.columns) == (slice(*rows), slice(*columns))
    seen = frame.cut(stack.image)
    assert torch.equal(seen, torch.from_numpy(stack.image)[:, slice(*rows), slice(*columns)])
    back = frame.restore(torch.ones(seen.shape)).numpy()
    assert back.shape == stack.image.shape and back.sum() == seen.numel() and back[:, frame.rows, frame.columns].all()


def test_the_crop_follows_the_body_through_the_resampling():
    frame = find_frame(body_at(20, 60), Preprocessing(spacing=[1.6, 1.4], size=(12, 16)))
    assert frame.resampled == (3, 30, 40)
    assert (frame.rows, frame.columns) == (slice(4, 16), slice(22, 38))


@given(
    st.tuples(SIDE, SIDE, SIDE),
    st.none() | st.lists(st.floats(0.3, 9), min_size=2, max_size=3),
    st.none() | st.tuples(SIDE, SIDE),
)
def test_whatever_the_size_the_mask_comes_back_on_the_studys_grid(shape, spacing, size):
    preprocessing = Preprocessing(spacing=spacing, size=size)
    stack = study(np.random.default_rng(0).integers(-1000, 400, shape))
    frame = find_frame(stack, preprocessing)
    seen = frame.cut(stack.image)
    resampled = preprocessing.resampled(shape, SPACING.tolist())
    assert seen.shape == (resampled[0], *(min(pair) for pair in zip(resampled[1:], size or resampled[1:], strict=True)))
    assert frame.restore(seen.float()).shape == shape
    assert preprocessing.seen(shape, SPACING.tolist()) == (size or resampled[1:])


def test_a_section_from_yaml_means_the_same_as_one_of_tuples():
    stack = body_at(20, 60)
    lists, tuples = ({"spacing": kind([1.6, 1.4]), "size": kind([12, 16])} for kind in (list, tuple))
    assert Preprocessing(**lists) == Preprocessing(**tuples) == replace(Preprocessing(), **lists)
    assert find_frame(stack, Preprocessing(**lists)) == find_frame(stack, Preprocessing(**tuples))
