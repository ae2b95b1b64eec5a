"""An operating point says whether something of it is still to be chosen."""

import pytest

from lesionbench.segmentation.point import OperatingPoint


@pytest.mark.parametrize(
    ("values", "to_choose"),
    [
        ((), False),
        ((0.4, 10), False),
        (("validation",), True),
        ((0.5, "validation"), True),
        (("validation",) * 2, True),
    ],
)
def test_a_point_is_to_be_chosen_where_either_value_is(values, to_choose):
    assert OperatingPoint(*values).is_to_choose is to_choose
