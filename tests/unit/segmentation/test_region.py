import numpy as np
import pytest
import torch

from lesionbench.segmentation.region import Region

SPACING = np.array([5, 2, 1.0])  # mm: 10 mm are 2 slices, 5 rows, 10 columns


@pytest.fixture
def lungs():
    found = torch.zeros(20, 200, 200, dtype=torch.uint8)
    found[6:10, 80:100, 70:90] = 1
    found[12, 120:130, 70:90] = 2
    return found


def test_it_reaches_ten_mm_beyond_the_lungs(lungs):
    region = Region.around_lungs(lungs, SPACING)
    assert region.slices == (4, 15)
    assert Region.around_lungs(lungs[:13], SPACING).slices == (4, 13)


def test_rows_and_columns_are_those_of_the_slices_nearby_on_a_grid_of_32(lungs):
    region = Region.around_lungs(lungs, SPACING)
    assert region.area(slice(4, 8)) == ((64, 128), (32, 128))  # rows 75 to 105, columns 60 to 100
    assert region.area(slice(14, 16)) == ((96, 160), (32, 128))
    assert region.area(slice(8, 12)) == ((64, 160), (32, 128))
    assert region.area(slice(17, 20)) == ((64, 160), (32, 128))  # no lung nearby: all of them
    lungs[6, 199, 190] = 1
    assert Region.around_lungs(lungs, SPACING).area(slice(6, 7)) == ((64, 200), (32, 200))


def test_without_lungs_there_is_none():
    assert Region.around_lungs(torch.zeros(3, 4, 5), SPACING) is None
