"""Which part of what an operation takes makes a part of its result: those of networks, as `torch.export` has them.

Results are (1, channels, rows, columns). An area is a part of their rows and columns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, pad

Span: TypeAlias = tuple[int, int]  # from and to
Area: TypeAlias = tuple[Span, Span]  # rows and columns

_aten = torch.ops.aten
CONVOLUTION, TRANSPOSED = _aten.conv2d.default, _aten.conv_transpose2d.input
NORM = _aten._native_batch_norm_legit_no_training.default
_MAX_POOL = _aten.max_pool2d.default
# A pixel of their result depends on the same pixel of what they take; with what does the same in place.
IN_PLACE = {
    _aten.relu.default: _aten.relu_.default,
    _aten.hardtanh.default: _aten.hardtanh_.default,
    _aten.silu.default: _aten.silu_.default,
    _aten.add.Tensor: _aten.add_.Tensor,
    _aten.mul.Tensor: _aten.mul_.Tensor,
}
_POINTWISE = {
    *IN_PLACE, _aten.sub.Tensor, _aten.div.Tensor, _aten.clone.default, _aten.sigmoid.default, _aten.tanh.default,
    _aten.gelu.default, _aten.elu.default, _aten.leaky_relu.default, _aten.hardswish.default,
    _aten.hardsigmoid.default, _aten.mish.default, _aten.clamp.default,
}  # fmt: skip
_ONE_PIXEL: Area = ((0, 1), (0, 1))


@dataclass(frozen=True)
class Operation:
    """An operation of a network.

    takes: the results that it takes; needs: from an area of its own result to the area of theirs that makes it, None
    where it takes all and gives all; call: from those parts, in the order of `takes`, and the area to that area.
    """

    takes: Sequence[Node]
    call: Callable[[Sequence[Any], Area], Any]
    needs: Callable[[Area], Area] | None = None

    def needed(self, taken: Node, area: Area) -> Area:
        """Return which area of a result that it takes makes an area of its own; of one for all pixels, all."""
        return all_of(taken) if self.needs is None or all_of(taken) == _ONE_PIXEL else self.needs(area)


def find_operation(
    node: Node, constants: Mapping[Node, Tensor], weights: tuple[Tensor, Tensor | None] | None
) -> Operation:
    """Return the operation of a node.

    constants: the parameters and buffers that nodes stand for; weights: of a convolution, weight and bias.
    """
    takes = [taken for taken in node.all_input_nodes if taken not in constants]
    if len(shape_of(node)) == 4 and all(len(shape_of(taken)) == 4 for taken in takes):
        if weights and node.target is CONVOLUTION and _sees_a_pixel(node, weights[0]):
            return _convolution(node, takes, *weights)
        if (
            weights
            and node.target is TRANSPOSED
            and _arguments(node)["dilation"] == [1, 1]
            and _arguments(node)["output_padding"] == [0, 0]
        ):
            return _transposed_convolution(node, takes, *weights)
        if node.target is _MAX_POOL and not _arguments(node)["ceil_mode"]:
            return _max_pooling(node, takes)
        if node.target is _aten.pad.default and _is_flat(_arguments(node)):
            return _padding(node, takes)
        if node.target is _aten.upsample_nearest2d.vec and _factors(node, takes[0]):
            return _interpolation(node, takes, "nearest")
        if (
            node.target is _aten.upsample_bilinear2d.vec
            and _factors(node, takes[0])
            and not _arguments(node)["align_corners"]
        ):
            return _interpolation(node, takes, "bilinear")
        if _is_pointwise(node, takes):
            return pointwise(node, node.target, takes, constants)
    return Operation(takes, _whole(node, takes, constants))


def shape_of(node: Node) -> tuple[int, ...]:
    """Return the shape of a node's result, () where it is no tensor."""
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def all_of(node: Node) -> Area:
    """Return the area of a whole result; of one without rows and columns an area that stands for it."""
    shape = shape_of(node)
    return ((0, shape[2]), (0, shape[3])) if len(shape) == 4 else ((0, 0), (0, 0))


def cut(value: Tensor, own: Area, wanted: Area) -> Tensor:
    """Return an area, as a view, of a tensor that holds the area `own`."""
    if own == wanted:
        return value
    (top, left), (rows, columns) = (span[0] for span in own), wanted
    return value[:, :, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]


def _arguments(node: Node) -> dict[str, Any]:
    """Return what a node is called with, by name, with the defaults."""
    target: Any = node.target
    names = [argument.name for argument in target._schema.arguments]
    defaults = {argument.name: argument.default_value for argument in target._schema.arguments}
    given = {**defaults, **dict(zip(names, node.args, strict=False)), **node.kwargs}
    return {
        name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in given.items()
    }


@dataclass(frozen=True)
class _Window:
    """A window that slides along rows or columns.

    length: of what is taken. Spans outside of it are padding.
    """

    length: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def taken(self, span: Span) -> Span:
        start, stop = self._slid(span)
        return max(start, 0), min(stop, self.length)

    def margins(self, span: Span) -> Span:
        """Return how much padding belongs to what makes a span, before and after."""
        start, stop = self._slid(span)
        return max(-start, 0), max(stop - self.length, 0)

    def _slid(self, span: Span) -> Span:
        start = span[0] * self.stride - self.padding
        return start, start + (span[1] - span[0] - 1) * self.stride + self.dilation * (self.kernel - 1) + 1


def _windows(node: Node, taken: Node, kernel: Sequence[int]) -> tuple[_Window, _Window]:
    given = _arguments(node)
    numbers = (_pair(given[name]) for name in ("stride", "padding", "dilation"))
    rows, columns = (
        _Window(length, *others) for (_, length), *others in zip(all_of(taken), kernel, *numbers, strict=True)
    )
    return rows, columns


def _pair(value: Sequence[int]) -> Sequence[int]:
    return value if len(value) == 2 else [value[0], value[0]]


def _margins(windows: Sequence[_Window], area: Area) -> list[int]:
    """Return the padding of an area as `torch.nn.functional.pad` wants it."""
    rows, columns = (window.margins(span) for window, span in zip(windows, area, strict=True))
    return [*columns, *rows]


def _taken(windows: Sequence[_Window]) -> Callable[[Area], Area]:
    return lambda area: (windows[0].taken(area[0]), windows[1].taken(area[1]))


def _sees_a_pixel(node: Node, weight: Tensor) -> bool:
    """Say whether no result of a convolution comes from padding alone."""
    given = _arguments(node)
    sizes = zip(weight.shape[2:], _pair(given["padding"]), _pair(given["dilation"]), strict=True)
    return all(padding <= dilation * (kernel - 1) for kernel, padding, dilation in sizes)


def _convolution(node: Node, takes: Sequence[Node], weight: Tensor, bias: Tensor | None) -> Operation:
    given = _arguments(node)
    windows = _windows(node, takes[0], weight.shape[2:])
    stride, dilation, groups = given["stride"], given["dilation"], given["groups"]

    def call(taken: Sequence[Tensor], area: Area) -> Tensor:
        left, right, top, bottom = margins = _margins(windows, area)
        if left < right or top < bottom:
            return conv2d(pad(taken[0], margins), weight, bias, stride, 0, dilation, groups)
        # Padded by the convolution itself, which is faster; where that is more than needed, the rest is cut off.
        result = conv2d(taken[0], weight, bias, stride, (top, left), dilation, groups)
        return result[:, :, : area[0][1] - area[0][0], : area[1][1] - area[1][0]]

    return Operation(takes, call, _taken(windows))


def _transposed_convolution(node: Node, takes: Sequence[Node], weight: Tensor, bias: Tensor | None) -> Operation:
    given = _arguments(node)
    strides, paddings = _pair(given["stride"]), _pair(given["padding"])
    axes = list(zip(all_of(takes[0]), weight.shape[2:], strides, paddings, strict=True))

    def along(span: Span, axis: int) -> Span:
        (_, length), kernel, stride, padding = axes[axis]
        first, last = span[0] + padding - kernel + 1, span[1] - 1 + padding
        return max(-(-first // stride), 0), min(last // stride + 1, length)

    def call(taken: Sequence[Tensor], area: Area) -> Tensor:
        result = conv_transpose2d(taken[0], weight, bias, strides, groups=given["groups"])
        starts = [along(span, axis)[0] * strides[axis] - paddings[axis] for axis, span in enumerate(area)]
        own = ((starts[0], starts[0] + result.shape[2]), (starts[1], starts[1] + result.shape[3]))
        return cut(result, own, area)

    return Operation(takes, call, lambda area: (along(area[0], 0), along(area[1], 1)))


def _max_pooling(node: Node, takes: Sequence[Node]) -> Operation:
    given = _arguments(node)
    kernel = _pair(given["kernel_size"])
    stride, dilation = _pair(given["stride"] or kernel), _pair(given["dilation"])
    sizes = zip(all_of(takes[0]), kernel, stride, _pair(given["padding"]), dilation, strict=True)
    windows = [_Window(length, *others) for (_, length), *others in sizes]

    def call(taken: Sequence[Tensor], area: Area) -> Tensor:
        margins = _margins(windows, area)
        padded = pad(taken[0], margins, value=-torch.inf) if any(margins) else taken[0]
        result: Tensor = _MAX_POOL(padded, kernel, stride, [0, 0], dilation)
        return result

    return Operation(takes, call, _taken(windows))


def _is_flat(given: Mapping[str, Any]) -> bool:
    return given["mode"] == "constant" and len(given["pad"]) == 4


def _padding(node: Node, takes: Sequence[Node]) -> Operation:
    given = _arguments(node)
    left, _, top, _ = given["pad"]
    value = given["value"] or 0.0
    (_, rows), (_, columns) = all_of(takes[0])
    windows = _Window(rows, padding=top), _Window(columns, padding=left)

    def needs(area: Area) -> Area:  # of an area in the padding a pixel, because nothing is no tensor
        spans = (window.taken(span) for window, span in zip(windows, area, strict=True))
        own_rows, own_columns = (
            (min(start, n - 1), max(stop, 1)) for (start, stop), n in zip(spans, (rows, columns), strict=True)
        )
        return own_rows, own_columns

    def call(taken: Sequence[Tensor], area: Area) -> Tensor:
        left_of, right_of, above, below = margins = _margins(windows, area)
        own_rows, own_columns = needs(area)
        own = (
            (own_rows[0] + top - above, own_rows[1] + top + below),
            (own_columns[0] + left - left_of, own_columns[1] + left + right_of),
        )
        return cut(pad(taken[0], margins, value=value), own, area)

    return Operation(takes, call, needs)


def _factors(node: Node, taken: Node) -> tuple[int, ...]:
    """Return how many times as long rows and columns become, () where that is no whole number."""
    lengths = [(own[1], source[1]) for own, source in zip(all_of(node), all_of(taken), strict=True)]
    return tuple(own // source for own, source in lengths) if all(own % source == 0 for own, source in lengths) else ()


def _interpolation(node: Node, takes: Sequence[Node], mode: str) -> Operation:
    factors, whole = _factors(node, takes[0]), all_of(takes[0])

    def along(span: Span, axis: int) -> Span:
        factor = factors[axis]
        if mode == "nearest":
            return span[0] // factor, -(-span[1] // factor)
        first, last = ((2 * place + 1 - factor) // (2 * factor) for place in (span[0], span[1] - 1))
        return max(first, 0), min(last + 2, whole[axis][1])

    def needs(area: Area) -> Area:
        return along(area[0], 0), along(area[1], 1)

    def call(taken: Sequence[Tensor], area: Area) -> Tensor:
        result = interpolate(taken[0], scale_factor=[float(factor) for factor in factors], mode=mode)
        rows, columns = (
            (start * factor, stop * factor) for (start, stop), factor in zip(needs(area), factors, strict=True)
        )
        return cut(result, (rows, columns), area)

    return Operation(takes, call, needs)


def _is_pointwise(node: Node, takes: Sequence[Node]) -> bool:
    """Say whether each pixel of a result comes from the same pixel of all that is taken."""
    sizes = {all_of(taken) for taken in takes}
    if node.target is _aten.cat.default:
        return sizes == {all_of(node)} and _arguments(node)["dim"] in (1, -3)
    if not takes or not sizes <= {all_of(node), _ONE_PIXEL}:
        return False
    constant = [taken for taken in node.all_input_nodes if taken not in takes]
    return node.target is NORM or (node.target in _POINTWISE and all(_spreads(one) for one in constant))


def _spreads(constant: Node) -> bool:
    """Say whether a constant is the same for all pixels."""
    return set(shape_of(constant)[-2:]) <= {1}


def pointwise(node: Node, target: Any, takes: Sequence[Node], constants: Mapping[Node, Tensor]) -> Operation:
    """Return an operation that works on any area as on the whole, with what it calls."""
    call = _called(node, target, takes, constants)
    if node.target is NORM:  # gives its result and two that nothing takes
        return Operation(takes, lambda taken, area: call(taken)[0], lambda area: area)
    return Operation(takes, lambda taken, area: call(taken), lambda area: area)


def _whole(node: Node, takes: Sequence[Node], constants: Mapping[Node, Tensor]) -> Callable[[Sequence[Any], Area], Any]:
    call = _called(node, node.target, takes, constants)
    # Some operations take no other order in memory than the one that the network was written down with.
    return lambda taken, area: call([one.contiguous() if isinstance(one, Tensor) else one for one in taken])


def _called(
    node: Node, target: Any, takes: Sequence[Node], constants: Mapping[Node, Tensor]
) -> Callable[[Sequence[Any]], Any]:
    args, kwargs = map_arg((node.args, dict(node.kwargs)), lambda one: constants.get(one, one))
    place = {one: number for number, one in enumerate(takes)}

    def call(taken: Sequence[Any]) -> Any:
        own, named = map_arg((args, kwargs), lambda one: taken[place[one]])
        return target(*own, **named)

    return call
