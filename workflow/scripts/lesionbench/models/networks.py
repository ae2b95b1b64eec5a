"""From a model's entry to a network that turns slices into logits."""

import inspect
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import encoders
from torch import Tensor, nn

from lesionbench.errors import UserError
from lesionbench.models.entry import ModelEntry
from lesionbench.models.loading import build_own
from lesionbench.models.names import CLASSIC_UNET, FIXED, Names, check_model, installed_versions
from lesionbench.models.own import own_network
from lesionbench.models.padding import Padding, Size, needs_values, said
from lesionbench.models.tensors import read_tensors
from lesionbench.models.unet import ClassicUNet
from lesionbench.words import first_few

ARCHITECTURES: dict[str, type[nn.Module]] = {CLASSIC_UNET: ClassicUNet} | {
    architecture.__name__: architecture for architecture in smp.MODEL_ARCHITECTURES_MAPPING.values()
}
CLASSIFIER = ("classifier.", "fc.", "head.", "last_linear.")


@dataclass(frozen=True)
class Network:
    """A module from intensities (batch, channels, height, width), float32 in about −1…1, to logits of one channel.

    stride: height and width must be multiples of this many pixels; name: how messages call it;
    channels: slices that it sees at a time.
    """

    module: nn.Module
    stride: int
    name: str = "The network"
    channels: int = 1

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.module.parameters() if parameter.requires_grad)

    @property
    def auxiliary(self) -> list[Tensor]:
        """The logits that its last forward pass left beside its result, in the module's attribute `auxiliary`."""
        outputs = getattr(self.module, "auxiliary", ())
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        return [output for output in outputs if isinstance(output, Tensor)]

    @cached_property
    def padding(self) -> Padding:
        """The sizes that it takes."""
        return Padding(self.module, self.stride, self.name, self.channels)

    def padded_size(self, sizes: Iterable[Size]) -> Size:
        """Return the height and width to which slices of these are padded, all to one. Raises as `Padding.fit`."""
        heights, widths = zip(*sizes, strict=True)
        return self.padding.fit((max(heights), max(widths)))


def build_network(entry: ModelEntry, weights: Path | str | None = None, channels: int = 1) -> Network:
    """Build the network of a model, on the CPU, initialised from PyTorch's global random generator.

    weights: a safetensors file with weights of the encoder, for images of three channels or of as many as there are;
    None leaves them random, whatever the entry says. channels: slices that the network sees at a time. The code of an
    own network is executed.

    Raises UserError where the architecture, the encoder, an option or the file of weights is not right.
    """
    check_model(replace(entry, encoder_weights=str(weights) if weights else None), installed_names())
    if own := own_network(entry.architecture):
        return Network(*build_own(own, entry, channels), entry.name, channels)
    arguments = {"encoder_name": entry.encoder, "encoder_weights": None} if entry.encoder else {}
    try:
        module = ARCHITECTURES[entry.architecture](in_channels=channels, classes=1, **arguments, **entry.options)
        if empty := next((name for name, weight in module.named_parameters() if not weight.numel()), None):
            raise ValueError(f"{empty} would hold no weights")
    except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{entry.name} cannot be built ({said(error).rstrip('.')}). {_remedy(entry)}.") from error
    if weights:
        _load_encoder(module.get_submodule("encoder"), str(entry.encoder), Path(weights), channels)
    encoder: Any = module.encoder
    stride = module.stride if isinstance(module, ClassicUNet) else encoder.output_stride
    return Network(module, stride, entry.name, channels)


def build_without_values(entry: ModelEntry, weights: str | None = None, channels: int = 1) -> Network | None:
    """Return what `build_network` does on the meta device, where nothing takes memory.

    None for an own network, and for one that is built from numbers, which only the CPU has. Raises as `build_network`.
    """
    if own_network(entry.architecture):
        return None
    try:
        with torch.device("meta"):
            return build_network(entry, weights, channels)
    except Exception as error:  # whatever a network raises
        if isinstance(error, UserError) and not needs_values(error.__cause__ or error):
            raise
    return None


def _remedy(entry: ModelEntry) -> str:
    """Return what to change in an entry that cannot be built: its options, if it can be built without them."""
    if entry.options:
        with suppress(UserError):
            build_network(replace(entry, options={}))
            return "Correct the model's `options`"
    return f"{entry.encoder} does not suit {entry.architecture}: choose another encoder or architecture"


@cache
def installed_names() -> Names:
    """Return the names that an entry of `models` may hold with the smp and the timm that are installed."""
    renamed = [name for name, current in timm.models.get_deprecated_models().items() if current]
    return Names(
        versions=installed_versions(),
        architectures={name: _options(constructor) for name, constructor in ARCHITECTURES.items()},
        encoders=sorted(smp.encoders.get_encoder_names()),
        pretrained=sorted(name for name, entry in encoders.items() if "imagenet" in entry["pretrained_settings"]),
        timm=sorted({*timm.list_models(), *renamed}),
    )


def _options(constructor: type[nn.Module]) -> list[str]:
    return [
        parameter.name
        for parameter in inspect.signature(constructor.__init__).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name not in {"self", *FIXED}
    ]


def _load_encoder(encoder: nn.Module, name: str, path: Path, channels: int) -> None:
    """Load weights for three channels into an encoder of one or more.

    The first convolution's are adapted as smp does it. For one channel they are summed: a grey slice then gives the
    same features as the image whose three channels are that slice. For more than three they come in turns, weakened so
    that their sum stays: slices that are all alike give the same features too.
    """
    try:
        weights = read_tensors(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"encoder_weights: {path} cannot be read as a safetensors file ({error}). Copy it again, give another, or "
            "write null to train from scratch."
        ) from error
    weights = {key: value for key, value in weights.items() if not key.startswith(CLASSIFIER)}
    expected = encoder.state_dict()
    for key in weights.keys() & expected.keys():
        if channels != 3 and expected[key].shape[1:2] == (channels,) and weights[key].shape[1:2] == (3,):
            weights[key] = _for_channels(weights[key].float(), channels)
    try:
        encoder.load_state_dict(weights.copy())  # of a copy, because smp's encoders rename and drop keys in it
    except RuntimeError as error:
        shared = expected.keys() & weights.keys()
        differences = {
            "missing": expected.keys() - shared,
            "unknown": weights.keys() - shared,
            "of another shape": {key for key in shared if expected[key].shape != weights[key].shape},
        }
        misfits = [f"{len(keys)} {kind} ({first_few(sorted(keys), 3)})" for kind, keys in differences.items() if keys]
        raise UserError(
            f"encoder_weights: {path} does not fit encoder {name}: {'; '.join(misfits)}. Give a file made for it by "
            "segmentation-models-pytorch, or null to train from scratch."
        ) from error


def _for_channels(weights: Tensor, channels: int) -> Tensor:
    """Return weights (out, 3, height, width) of a convolution for another number of channels."""
    if channels == 1:
        return weights.sum(1, keepdim=True)
    return weights[:, torch.arange(channels) % 3] * (3 / channels)
