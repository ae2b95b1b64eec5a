import numpy as np
import pytest

from lesionbench.data.volume import Grid
from lesionbench.segmentation.lungs import LEFT, RIGHT
from lesionbench.segmentation.measure import doubts, measure

GRID = Grid((20, 10, 6), np.diag([2.0, 5.0, 10.0, 1]))  # 0.1 ml a voxel


@pytest.fixture
def lungs():
    mask = np.zeros(GRID.shape, np.uint8)
    mask[11:17, 2:8, 1:5] = RIGHT  # 144 voxels; i grows to the right
    mask[3:8, 2:8, 1:5] = LEFT  # 120 voxels
    return mask


def box(i, j, k):
    mask = np.zeros(GRID.shape, bool)
    mask[i, j, k] = True
    return mask


def test_volumes_and_shares_are_of_both_lungs_and_of_each(lungs):
    found = measure(box(slice(11, 14), slice(2, 6), slice(1, 4)), GRID, lungs)
    assert found["lesion_ml"] == found["right_lesion_ml"] == pytest.approx(3.6)
    assert (found["left_lesion_ml"], found["left_share_involved"], found["lesion_outside_lungs_ml"]) == (0, 0, 0)
    assert found["right_share_involved"] == pytest.approx(36 / 144)
    assert found["share_involved"] == pytest.approx(36 / 264) and found["lungs_ml"] == pytest.approx(26.4)
    assert (found["lesion_slices"], found["slices"]) == (3, 6)
    assert list(doubts(found, GRID)) == []


def test_what_a_lesion_has_beyond_the_lung_that_it_touches_counts_to_the_lung(lungs):
    found = measure(box(slice(14, 19), slice(2, 8), slice(2, 3)), GRID, lungs)
    assert found["right_lesion_ml"] == pytest.approx(3) and found["lesion_outside_lungs_ml"] == 0
    assert found["right_lungs_ml"] == pytest.approx(14.4 + 1.2)


def test_a_lesion_that_touches_no_lung_is_outside_and_is_doubted(lungs):
    found = measure(box(slice(0, 20), slice(9, 10), slice(0, 6)), GRID, lungs)
    assert found["lesion_outside_lungs_ml"] == pytest.approx(12) and found["share_involved"] == 0
    assert list(doubts(found, GRID)) == ["100% of the lesion lies outside the lungs: look at the mask"]


def test_a_scan_that_is_marked_almost_whole_is_doubted():
    found = measure(np.ones(GRID.shape, bool), GRID, None)
    assert found["share_involved"] is None and found["left_lesion_ml"] is None
    assert "100.0% of the scan is marked" in next(doubts(found, GRID))
