"""What to write in place of a model's entry that does not work: each piece of advice is tried before it is given."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lesionbench.data.preprocessing import padded_size
from lesionbench.errors import UserError
from lesionbench.models.entry import ModelEntry
from lesionbench.models.names import unknown_names
from lesionbench.models.networks import installed_names
from lesionbench.models.own import own_network
from lesionbench.models.padding import Size

# The stride of nearly all encoders: an image size to build for is a multiple of it.
_STRIDE = 32
_DECODER_CHANNELS = [256, 128, 64, 32, 16]  # of smp's U-Nets, from the deepest on
# Encoders to choose instead: the options that each needs, and whether smp has ImageNet weights for it.
_FURTHER_ENCODERS: tuple[tuple[str, dict[str, Any], bool], ...] = (
    ("resnet34", {}, True),
    ("tu-vit_tiny_patch16_224", {"dynamic_img_size": True}, False),
)


def advice(entry: ModelEntry, size: Size, works: Callable[[ModelEntry], object]) -> str:
    """Return lines of YAML that make an entry work on slices of a height and width, after " Write, for example:".

    works: tries an entry and raises UserError where it fails. Empty where none of the alternatives works.
    """
    for other in alternatives(entry, size):
        with suppress(UserError):
            works(other)
            return f" Write, for example:\n{_lines(entry, other)}"
    return ""


def alternatives(entry: ModelEntry, size: Size) -> Iterator[ModelEntry]:
    """Yield entries that differ little from one, the nearest first, without unknown options."""
    options = dict(entry.options)
    for change in _further_options(entry, size):
        yield from _known(replace(entry, options=options | change), entry)
    for name in options:
        yield from _known(replace(entry, options={key: options[key] for key in options if key != name}), entry)
    for encoder, needed, pretrained in _FURTHER_ENCODERS if entry.encoder else ():
        weights = "imagenet" if pretrained and entry.encoder_weights == "imagenet" else None
        for kept in ({}, options):
            other = replace(entry, encoder=encoder, encoder_weights=weights, options=kept | needed)
            yield from _known(other, entry)


def _further_options(entry: ModelEntry, size: Size) -> Iterator[dict[str, Any]]:
    if str(entry.encoder).startswith("tu-"):
        yield {"dynamic_img_size": True}
        yield {"img_size": list(padded_size([size], _STRIDE))}
    if own_network(entry.architecture):
        yield {"spatial_dims": 2}  # as MONAI's networks have it, most of which are made for volumes
    depth = entry.options.get("encoder_depth")
    if isinstance(depth, int):
        yield {"decoder_channels": _DECODER_CHANNELS[:depth]}
        yield from ({"upsampling": factor} for factor in (1, 2, 4, 8, 16))


def _known(other: ModelEntry, entry: ModelEntry) -> Iterator[ModelEntry]:
    taken = installed_names().architectures.get(other.architecture, [])
    further = {"spatial_dims"} if own_network(entry.architecture) else set()
    by_timm = {"dynamic_img_size", "img_size"} if str(other.encoder).startswith("tu-") else set()
    new = other.options.keys() - entry.options.keys()
    if other != entry and new <= {*taken, *by_timm, *further} and not list(unknown_names(other, installed_names())):
        yield other


def _lines(entry: ModelEntry, other: ModelEntry) -> str:
    """Return the keys in which an entry differs from another, as lines of YAML."""
    lines = [f"  encoder: {other.encoder}"] if other.encoder != entry.encoder else []
    if other.encoder_weights != entry.encoder_weights:
        lines.append("  encoder_weights: null")
    if other.options != entry.options:
        lines.append(f"  options: {flow(other.options)}")
    return "\n".join(lines)


def flow(options: Mapping[str, Any]) -> str:
    """Return options as a mapping of YAML in one line."""
    return "{" + ", ".join(f"{name}: {json.dumps(value)}" for name, value in options.items()) + "}"
