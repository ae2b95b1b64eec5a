"""Intensities and padding are those of the section `preprocessing`, whether it comes from YAML or from a record."""

import json
from dataclasses import asdict

import pytest
import torch

from lesionbench.data.preprocessing import Preprocessing, padded_size


def test_a_list_is_the_same_window_as_a_tuple():
    preprocessing = Preprocessing("axial", (-900, 400), 500)
    assert Preprocessing("axial", [-900, 400], 500) == preprocessing
    assert Preprocessing(**json.loads(json.dumps(asdict(preprocessing)))) == preprocessing


def test_intensities_are_hu_over_the_scale_and_lie_in_the_window():
    preprocessing = Preprocessing(hu_window=(-900, 400), hu_scale=500)
    intensities = preprocessing.intensities(torch.tensor([-900, 0, 400], dtype=torch.int16))
    assert intensities.dtype == torch.float32
    assert intensities.tolist() == pytest.approx([-1.8, 0, 0.8])
    assert preprocessing.window == (-1.8, 0.8)


@pytest.mark.parametrize(("low", "air"), [(-1000, -1000), (-900, -900), (-100_000, -32768)])
def test_air_is_the_lower_edge_of_the_window_within_int16(low, air):
    assert Preprocessing(hu_window=(low, 1000)).air == air


@pytest.mark.parametrize(
    ("sizes", "stride", "expected"),
    [
        ([(512, 512)], 32, (512, 512)),
        ([(512, 41)], 32, (512, 64)),
        ([(512, 41)], 16, (512, 48)),
        ([(1, 17)], 16, (16, 32)),
        ([(20, 65), (40, 32)], 16, (48, 80)),
    ],
)
def test_slices_grow_to_the_next_multiple_of_the_stride(sizes, stride, expected):
    assert padded_size(sizes, stride) == expected
