"""To which size slices are padded so that they pass through a network.

A network is tried on PyTorch's meta device, where tensors have a shape and no values, so that a pass at any size costs
a fraction of a second. The result depends on the network and the size alone: training, prediction and `segment` agree.
"""

import re
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from traceback import extract_tb

import torch
from torch import nn

from lesionbench.data.preprocessing import padded_size
from lesionbench.errors import UserError
from lesionbench.models.own import is_users

# Multiples of the stride that are tried: PAN pools three times more after its encoder, and needs 8 × its stride.
LARGEST_MULTIPLE = 256
Size = tuple[int, int]


@dataclass(frozen=True)
class Padding:
    """The sizes, height and width in pixels, that a network takes.

    module: from (batch, channels, height, width) to logits (batch, 1, height, width); stride: both sides must be
    multiples of this; name: how messages call it.
    """

    module: nn.Module
    stride: int
    name: str = "The network"
    channels: int = 1
    _outcomes: dict[Size, str] = field(default_factory=dict, compare=False)

    def fit(self, size: Size) -> Size:
        """Return the smallest of `candidate_sizes` that passes through the network.

        A network that cannot be tried without values gets the next multiples of its stride. Raises UserError where no
        candidate passes; it says why the first one does not.
        """
        candidates = candidate_sizes(size, self.stride, self.image_sizes)
        for candidate in candidates:
            if not self._outcome(candidate):
                return candidate
        rows, columns = size
        raise UserError(
            f"{self.name} takes no slices of {rows} × {columns} pixels, whatever their padding "
            f"({self._outcome(candidates[0]).rstrip('.')})."
        )

    @cached_property
    def twin(self) -> nn.Module | None:
        """The module on the meta device; None where it cannot be copied."""
        try:
            return on_meta(self.module)
        except Exception:
            return None

    @cached_property
    def image_sizes(self) -> set[Size]:
        """The sizes that parts of the network are made for, as those of timm's transformers."""
        found: set[Size] = set()
        for part in self.module.modules():
            settings = getattr(part, "pretrained_cfg", None)
            input_size = settings.get("input_size", ()) if isinstance(settings, dict) else ()
            for sides in (input_size[1:], getattr(part, "img_size", None)):
                match sides:
                    case [int(height), int(width)]:
                        found.add((height, width))
        return found

    def _outcome(self, size: Size) -> str:
        """Return "" where two slices of this size pass through the network in training, else why they do not."""
        if size not in self._outcomes:
            self._outcomes[size] = self._try(size)
        return self._outcomes[size]

    def _try(self, size: Size) -> str:
        if self.twin is None:
            return ""
        try:
            with torch.no_grad():
                logits = self.twin.train()(torch.zeros(2, self.channels, *size, device="meta"))
        except (Exception, SystemExit) as error:  # whatever a network raises
            return "" if needs_values(error) else said(error)
        return wrong_shape(logits, (2, 1, *size))


def candidate_sizes(size: Size, stride: int, image_sizes: set[Size] | None = None) -> list[Size]:
    """Return the sizes to which a slice may be padded, the smallest first.

    The first is the next multiple of `stride`. Others are at least, or multiples of, the stride's multiples by 2, 4, …,
    or multiples of a size that the network is made for.
    """
    first = padded_size([size], stride)
    found = set()
    multiple = 2 * stride
    while multiple <= LARGEST_MULTIPLE:
        found |= {padded_size([size], multiple), (max(first[0], multiple), max(first[1], multiple))}
        multiple *= 2
    for height, width in image_sizes or ():
        found.add((padded_size([size], height)[0], padded_size([size], width)[1]))
    return [first, *sorted(found - {first}, key=lambda other: (other[0] * other[1], other))]


def on_meta(module: nn.Module) -> nn.Module:
    """Return a copy of a module whose weights have shapes and no values. The module itself may lie anywhere."""
    copies: dict[int, object] = {
        id(weight): nn.Parameter(weight.detach().to("meta"), weight.requires_grad) for weight in module.parameters()
    }
    copies |= {id(buffer): buffer.detach().to("meta") for buffer in module.buffers()}
    return deepcopy(module, copies)


def needs_values(error: BaseException) -> bool:
    """Say whether a pass failed only because tensors on the meta device have no values."""
    return isinstance(error, NotImplementedError) or bool(re.search(r"\bmeta\b", str(error), re.IGNORECASE))


def said(error: BaseException) -> str:
    """Return what an error says, in one line, and in which line of the user's code, if it came from there."""
    text = "it ends the process" if isinstance(error, SystemExit) else shorten(str(error), 400, placeholder=" …")
    plain = text and isinstance(error, (AssertionError, RuntimeError, ValueError))
    frames = [(frame.lineno, Path(frame.filename)) for frame in extract_tb(error.__traceback__)]
    lines = [f"; line {line} of {file.name}" for line, file in frames if is_users(file)]
    told = text if plain else f"{type(error).__name__}: {text}"
    return told.rstrip(".") + lines[-1] if lines else told


def wrong_shape(logits: object, expected: tuple[int, ...]) -> str:
    """Return "" where logits have the expected shape, else what they have."""
    if not isinstance(logits, torch.Tensor):
        return f"it returns {type(logits).__name__}, not one tensor of logits"
    shape = tuple(logits.shape)
    return "" if shape == expected else f"slices {expected} give logits {shape}"
