"""Names that a model's entry may hold, and what to say where one is unknown.

Imported while Snakemake parses, so it needs nothing but the standard library. `names.json` beside it holds the names
that the pinned segmentation-models-pytorch (smp) and timm know; `make names` writes it.
"""

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from lesionbench.environment import installed_version
from lesionbench.errors import UserError
from lesionbench.models.declared import find_parameters, find_problem, without_class
from lesionbench.models.entry import ModelEntry
from lesionbench.models.own import GIVEN, OwnNetwork, own_network
from lesionbench.words import listed

LIST = Path(__file__).with_name("names.json")
PACKAGES = ("segmentation-models-pytorch", "timm")
CLASSIC_UNET = "classic-unet"
# One channel of logits, and no second output: options must not change what the rest of the workflow counts on.
FIXED = {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"}


@dataclass(frozen=True)
class Names:
    """What the entry of a model may say.

    versions: of smp and timm; architectures: each with its options; encoders: of smp; pretrained: those of smp's with
    ImageNet weights; timm: its models, which are encoders with `tu-` before their names.
    """

    versions: dict[str, str | None]
    architectures: dict[str, list[str]]
    encoders: list[str]
    pretrained: list[str]
    timm: list[str]

    def encoder(self, name: str) -> str | None:
        """Return how the encoder `name` is written, with `tu-` where that is missing; None where it is unknown."""
        # A name of timm may end with a tag of its weights, as in tu-resnet18.a1_in1k.
        model = name.removeprefix("tu-").split(".")[0]
        if name in self.encoders:
            return name
        return f"tu-{name.removeprefix('tu-')}" if model in self.timm else None


@cache
def listed_names() -> Names:
    """Return the names in `names.json`."""
    return Names(**json.loads(LIST.read_text(encoding="utf-8")))


def write_list(names: Names) -> None:
    """Write `names.json`."""
    LIST.write_text(json.dumps(asdict(names), indent=1) + "\n", encoding="utf-8")


def installed_versions() -> dict[str, str | None]:
    """Return the versions of smp and timm, None for one that is not installed."""
    return {package: installed_version(package) for package in PACKAGES}


def list_holds() -> bool:
    """Return whether the jobs will know the names in `names.json`, and no others.

    It does not where another version is installed. Where none is, the jobs run in environments with the pinned ones.
    """
    return all(found in (None, listed_names().versions[name]) for name, found in installed_versions().items())


def check_model(model: ModelEntry, names: Names) -> None:
    """Raise a UserError where the architecture, the encoder or an option is unknown, or the encoder does not fit."""
    if found := list(unknown_names(model, names)):
        raise UserError("\n\n".join(found))
    check_encoder(model)


def check_encoder(model: ModelEntry, key: str = "") -> None:
    """Raise a UserError where an encoder is missing, or given to a network that takes none.

    `key` is what to put before `encoder` in the message, as `models.unet.`.
    """
    architecture, encoder = model.architecture, model.encoder
    lines = f"Write, for example:\n  architecture: Unet\n  encoder: {encoder or 'resnet34'}"
    if own_network(architecture):
        if encoder or model.encoder_weights:
            raise UserError(
                f"{key}encoder: {architecture} is a class of its own. Remove `encoder` and `encoder_weights`, and give "
                "what its constructor takes as `options`."
            )
        return
    if architecture != CLASSIC_UNET and not encoder:
        raise UserError(f"{key}encoder: {architecture} needs an encoder. {lines}")
    if architecture == CLASSIC_UNET and (encoder or model.encoder_weights):
        raise UserError(
            f"{key}encoder: {CLASSIC_UNET} has an encoder of its own. Remove `encoder` and `encoder_weights`, or "
            f"choose an architecture that takes one. {lines}"
        )


def unknown_names(model: ModelEntry, names: Names, key: str = "") -> Iterator[str]:
    """Yield a message for each name in a model's entry that is not in `names`, with a line of YAML that would be right.

    `key` is what to put before `architecture` and so on in the messages, as `models.unet.`.
    """
    architecture, encoder = model.architecture, model.encoder or ""
    if own := own_network(architecture):
        yield from _wrong_with_own(own, model, key)
        return
    if architecture not in names.architectures:
        yield f"{key}architecture: {_unknown_architecture(architecture, encoder, names)}"
    if encoder and architecture != CLASSIC_UNET and names.encoder(encoder) != encoder:
        yield f"{key}encoder: {_unknown_encoder(architecture, encoder, names)}"
    elif encoder and model.encoder_weights == "imagenet" and encoder not in names.pretrained:
        near = _nearest(encoder.removeprefix("tu-"), names.pretrained)
        hint = f" (encoders with a name like it that have: {', '.join(near)})" if near else ""
        yield (
            f"{key}encoder_weights: there are no `imagenet` weights for the encoder {encoder}{hint}. Give a "
            "safetensors file that you have, or train from scratch:\n  encoder_weights: null"
        )
    for option, value in model.options.items():
        known = names.architectures.get(architecture, [])
        if option in FIXED:
            yield f"{key}options: {option} is set by the workflow. Remove it."
        # smp drops unknown arguments silently, except for encoders of timm, which get them.
        elif known and option not in known and not encoder.startswith("tu-"):
            yield f"{key}options: {architecture} takes no {option}. {_nearest_option(str(option), value, known)}"


def _wrong_with_own(own: OwnNetwork, model: ModelEntry, key: str) -> Iterator[str]:
    """Yield what is wrong with the class that an entry names, or with its options, as far as its code tells."""
    if problem := find_problem(own):
        yield f"{key}architecture: {problem}"
        return
    known = find_parameters(own)
    takes = [name for name in known.names if name not in GIVEN] if known else []
    for option, value in model.options.items():
        if option in GIVEN:
            yield f"{key}options: {option} is set by the workflow. Remove it."
        elif known and option not in takes:
            yield f"{key}options: {model.architecture} takes no {option}. {_nearest_option(str(option), value, takes)}"
    missing = [name for name in known.required if name not in {*GIVEN, *model.options}] if known else []
    if missing:
        yield (
            f"{key}options: {model.architecture} needs {listed(missing)}. Write, for example:\n"
            f"  options: {{{', '.join(f'{name}: …' for name in missing)}}}"
        )


def _unknown_architecture(name: str, encoder: str, names: Names) -> str:
    if name.endswith(".py"):
        return without_class(name)
    module, _, last = name.rpartition(".")
    if own_network(f"{module}:{last}"):
        line = f"Write:\n  architecture: {module}:{last}"
        return f"{name} is unknown. A class of a package has a colon before its name. {line}"
    if names.encoder(name):
        return f"{name} is an encoder. {_lines_of_both((encoder, name), names)}"
    near = _nearest(name, names.architectures)
    return (
        f"{name} is unknown. {_question(near)}Choose one of {', '.join(names.architectures)}, or name a class of your "
        "own as path/to/file.py:Class or package.module:Class. Write, for example:\n"
        f"  architecture: {(near or ['Unet'])[0]}"
    )


def _unknown_encoder(architecture: str, name: str, names: Names) -> str:
    if name in names.architectures:
        return f"{name} is an architecture. {_lines_of_both((architecture, name), names)}"
    near = _nearest(name.split(".")[0], [*names.encoders, *(f"tu-{model}" for model in names.timm)])
    with_prefix = names.encoder(name)
    near = list(dict.fromkeys([with_prefix, *near] if with_prefix else near))
    versions = " and ".join(f"{package} {version}" for package, version in listed_names().versions.items())
    return (
        f"{name} is unknown. {_question(near)}Write, for example:\n  encoder: {(near or ['resnet34'])[0]}\n"
        f"{LIST} lists all encoders of {versions}; write `tu-` before the names of timm."
    )


def _lines_of_both(given: tuple[str, str], names: Names) -> str:
    """Return lines for an architecture and an encoder: those that are among the two names given, else usual ones."""
    architectures = [name for name in given if name in names.architectures and name != CLASSIC_UNET]
    encoders = [encoder for name in given if (encoder := names.encoder(name))]
    return (
        f"Write, for example:\n  architecture: {[*architectures, 'Unet'][0]}\n  encoder: {[*encoders, 'resnet34'][0]}"
    )


def _nearest_option(name: str, value: object, known: list[str]) -> str:
    near = _nearest(name, known)
    takes = f"{_question(near)}It takes {', '.join(known) or 'none'}."
    return f"{takes} Write:\n  options: {{{near[0]}: {json.dumps(value, default=str)}}}" if near else takes


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that look most like `name`, in capitals or not."""
    spelt = {other.lower(): other for other in known}
    return [spelt[other] for other in difflib.get_close_matches(name.lower(), spelt)]


def _question(near: list[str]) -> str:
    return f"Did you mean {' or '.join(near)}? " if near else ""
