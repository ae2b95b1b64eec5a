"""What the entry of a model in the configuration says of its network. Needs nothing but the standard library."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True)
class ModelEntry:
    """What to build: the keys of a model's entry that decide its network, and no others.

    architecture: `classic-unet` or a name of segmentation-models-pytorch; encoder: one of its encoders;
    encoder_weights: `imagenet`, a path to a safetensors file, or None; options: further arguments of the architecture.
    """

    architecture: str
    encoder: str | None = None
    encoder_weights: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return what a model's settings say of its network, without its label and its recipe."""
        return cls(**{key.name: settings[key.name] for key in fields(cls) if settings.get(key.name) is not None})

    @property
    def name(self) -> str:
        """How messages call it."""
        parts = [self.architecture, *([f"encoder {self.encoder}"] if self.encoder else [])]
        return " with ".join([*parts, *([f"options {dict(self.options)}"] if self.options else [])])
