import pytest
import torch
from torch.fx import Graph

from lesionbench.models.operations import all_of, cut, find_operation, shape_of

AREA = ((3, 9), (2, 7))


def operation_of(target, *arguments, shape=(1, 2, 12, 10)):
    """An operation on a result of some shape, what it takes, and its whole result."""
    graph = Graph()
    taken = graph.placeholder("taken")
    node = graph.call_function(target, (taken, *arguments))
    value = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    taken.meta["val"] = value
    node.meta["val"] = target(value, *arguments)
    return find_operation(node, {}, None), value, node.meta["val"]


@pytest.mark.parametrize(
    ("target", "arguments", "share"),
    [
        (torch.ops.aten.relu.default, (), True),
        (torch.ops.aten.max_pool2d.default, ([3, 3], [1, 1], [1, 1]), True),
        (torch.ops.aten.max_pool2d.default, ([2],), True),
        (torch.ops.aten.max_pool2d.default, ([2, 2], [1, 1], [0, 0], [1, 1], True), False),
        (torch.ops.aten.pad.default, ([2, 1, 4, 0],), True),
        (torch.ops.aten.pad.default, ([1, 1, 1, 1], "reflect"), False),
        (torch.ops.aten.upsample_nearest2d.vec, (None, [2.0, 3.0]), True),
        (torch.ops.aten.upsample_bilinear2d.vec, (None, False, [4.0, 2.0]), True),
        (torch.ops.aten.upsample_bilinear2d.vec, (None, True, [2.0, 2.0]), False),
        (torch.ops.aten.upsample_nearest2d.vec, ([15, 15], None), False),
        (torch.ops.aten.adaptive_avg_pool2d.default, ([12, 10],), False),
        (torch.ops.aten.cumsum.default, (2,), False),
    ],
)
def test_an_area_is_made_from_what_it_needs_or_from_all(target, arguments, share):
    operation, taken, whole = operation_of(target, *arguments)
    assert (operation.needs is not None) == share
    for rows in ((0, 1), (2, 5), (3, 6)):
        area = (rows, (1, 4))
        needed = operation.needed(operation.takes[0], area)
        found = operation.call([cut(taken, ((0, 12), (0, 10)), needed)], area)
        expected = cut(whole, ((0, whole.shape[2]), (0, whole.shape[3])), area) if share else whole
        assert torch.allclose(found, expected, atol=1e-6)


def test_what_has_no_rows_and_columns_is_taken_whole():
    operation, taken, whole = operation_of(torch.ops.aten.relu.default, shape=(3, 4))
    node = operation.takes[0]
    assert operation.needs is None and shape_of(node) == (3, 4) and all_of(node) == ((0, 0), (0, 0))
    assert torch.equal(operation.call([taken], AREA), whole)
