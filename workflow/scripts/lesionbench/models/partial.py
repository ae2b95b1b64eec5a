"""A network computed for a part of a slice: each layer computes what that part depends on, and no more.

`torch.export` writes down which operations turn a slice into logits, whatever the network's code. From the area wanted
of the logits it follows, backwards, which area of each result before is needed. So what comes out is what the whole
slice gives, but for the order in which numbers are added: the network never sees the edge of a crop. Operations that
are not known (`models.operations`), and those that take all of a slice, as global pooling does, get all of it.

Batch normalisation is folded into the convolution before it, where nothing else takes that convolution's result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Graph, Node
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lesionbench.models.operations import (
    CONVOLUTION,
    IN_PLACE,
    NORM,
    TRANSPOSED,
    Area,
    Operation,
    all_of,
    cut,
    find_operation,
    pointwise,
    shape_of,
)

Weights = tuple[Tensor, Tensor | None]
# Of the largest logit, by which others may differ: by the order in which numbers are added.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Step:
    """An operation, whose result a node stands for, and the results that nothing takes after it."""

    node: Node
    operation: Operation
    frees: tuple[Node, ...] = ()


class PartialNetwork:
    """The module of a network for slices of one size, one at a time, in evaluation mode on the CPU.

    dtype: float32, or bfloat16 for autocast. Raises whatever `torch.export` does where the module cannot be written
    down, and ValueError where it gives anything but logits (1, 1, rows, columns), where other logits come out, or where
    most of its operations take all of a slice, as a transformer's do: then nothing is won.
    """

    def __init__(
        self, module: nn.Module, channels: int, size: tuple[int, int], dtype: torch.dtype = torch.float32
    ) -> None:
        with torch.inference_mode(False), torch.no_grad():
            program = torch.export.export(module, (torch.zeros(1, channels, *size),), strict=False)
            program = program.run_decompositions({})
            constants = _constants(program)
            weights = _fold(program.graph, constants)
        nodes = list(program.graph.nodes)
        (self._output,) = program.graph.output_node().all_input_nodes
        (self._image,) = (node for node in nodes if node.name in program.graph_signature.user_inputs)
        if shape_of(self._output) != (1, 1, *size):
            raise ValueError("it gives something else than logits of the size of a slice")
        self._areas = lru_cache(maxsize=64)(self._find_areas)
        # What was written down and folded is judged in float32: bfloat16 alone may change logits by much.
        for self._dtype in dict.fromkeys((torch.float32, dtype)):
            laid = {
                node: (_laid(weight, self._dtype), None if bias is None else bias.to(self._dtype))
                for node, (weight, bias) in weights.items()
            }
            operations = {
                node: find_operation(node, constants, laid.get(node)) for node in nodes if node.op == "call_function"
            }
            self._steps = _ordered(operations, constants, self._output)
            if self._dtype == torch.float32:
                self._check(module, channels, size)

    @torch.inference_mode()
    def _check(self, module: nn.Module, channels: int, size: tuple[int, int]) -> None:
        """Hold the middle of a slice of noise against what the module gives, and refuse what takes whole slices."""
        if 2 * sum(step.operation.needs is None for step in self._steps) > len(self._steps):
            raise ValueError("most of its operations take all of a slice")
        noise = 2 * torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0)) - 1
        rows, columns = ((side // 4, side - side // 4) for side in size)
        expected = module(noise)[:, :, slice(*rows), slice(*columns)]
        differences = (self(noise, (rows, columns)) - expected).abs()
        if not differences.max() <= _TOLERANCE * max(1.0, float(expected.abs().max())):
            raise ValueError("other logits come out")

    @torch.inference_mode()
    def __call__(self, image: Tensor, area: Area) -> Tensor:
        """Return the logits (1, 1, rows, columns), float32, of an area of an image (1, channels, rows, columns)."""
        areas = {**self._areas(area), self._image: all_of(self._image)}
        values: dict[Node, Any] = {self._image: image.contiguous(memory_format=torch.channels_last)}

        def part(node: Node, needed: Area) -> Any:
            return cut(values[node], areas[node], needed) if len(shape_of(node)) == 4 else values[node]

        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._dtype == torch.bfloat16):
            for step in self._steps:
                if (own := areas.get(step.node)) is not None:
                    taken = [part(node, step.operation.needed(node, own)) for node in step.operation.takes]
                    values[step.node] = step.operation.call(taken, own)
                    for node in step.frees:
                        values.pop(node, None)
        logits: Tensor = part(self._output, area)
        return logits.float()

    def _find_areas(self, area: Area) -> dict[Node, Area]:
        """Return the area of each result that is needed for an area of the logits; none of what is not needed."""
        areas = {self._output: area}
        for step in reversed(self._steps):
            if step.node not in areas:
                continue
            if step.operation.needs is None:
                areas[step.node] = all_of(step.node)
            for node in step.operation.takes:
                needed = step.operation.needed(node, areas[step.node])
                areas[node] = _union(areas[node], needed) if node in areas else needed
        return areas


def _union(one: Area, other: Area) -> Area:
    rows, columns = ((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True))
    return rows, columns


def _constants(program: ExportedProgram) -> dict[Node, Tensor]:
    """Return the parameters and buffers that nodes stand for."""
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    names |= signature.inputs_to_lifted_tensor_constants
    known = {**program.constants, **program.state_dict}
    return {node: known[names[node.name]].detach() for node in program.graph.nodes if node.name in names}


def _laid(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype, memory_format=torch.channels_last)


def _fold(graph: Graph, constants: Mapping[Node, Tensor]) -> dict[Node, Weights]:
    """Fold normalisations into convolutions; return weight and bias of each convolution that has them as constants."""
    weights: dict[Node, Weights] = {}
    for node in list(graph.nodes):
        if node.target in (CONVOLUTION, TRANSPOSED):
            operands: Any = (*node.args, None)
            weight, bias = operands[1:3]
            if weight in constants and (bias is None or bias in constants):
                weights[node] = constants[weight], constants.get(bias)
        elif node.target is NORM:
            for result in [user for user in node.users if user.args[1] == 0]:
                result.replace_all_uses_with(node)
                graph.erase_node(result)
            node.meta["val"] = node.meta["val"][0]
            arguments: Any = node.args
            source, scale, shift, mean, variance, _, eps = arguments
            if source in weights and len(source.users) == 1 and {mean, variance} <= constants.keys():
                weights[source] = fuse_conv_bn_weights(
                    *weights[source],
                    constants[mean],
                    constants[variance],
                    eps,
                    constants.get(scale),
                    constants.get(shift),
                    source.target is TRANSPOSED,
                )
                node.replace_all_uses_with(source)
                graph.erase_node(node)
    return weights


def _ordered(operations: Mapping[Node, Operation], constants: Mapping[Node, Tensor], output: Node) -> list[_Step]:
    """Return the steps in their order. A result that nothing takes later is freed, or changed in place."""
    steps = []
    needed = {output}
    for node, operation in reversed(list(operations.items())):
        frees = tuple(taken for taken in operation.takes if taken not in needed)
        needed.update(operation.takes)
        if node.target in IN_PLACE and operation.needs and operation.takes[0] in frees:
            first = operation.takes[0]
            if first is node.args[0] and _is_own(first, operations) and _is_like(first, node):
                operation = pointwise(node, IN_PLACE[node.target], operation.takes, constants)
        steps.append(_Step(node, operation, frees))
    return steps[::-1]


def _is_like(one: Node, other: Node) -> bool:
    """Say whether two results have the same shape and type."""
    return shape_of(one) == shape_of(other) and one.meta["val"].dtype == other.meta["val"].dtype


def _is_own(node: Node, operations: Mapping[Node, Operation]) -> bool:
    """Say whether a result has memory of its own: an operation that is not known may give a view of what it takes."""
    return node in operations and operations[node].needs is not None
