"""How a model is trained. Needs nothing but the standard library."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The section `training` of the configuration, with a model's own overrides; the schema says what each key means.

    learning_rate: of Adam; patience: in epochs; precision: auto, float32 or bfloat16; device: auto, cpu, mps, cuda or
    cuda:N; resident_limit_gb: in units of 10⁹ bytes.
    """

    batch_size: int = 8
    learning_rate: float = 0.0001
    max_epochs: int = 100
    patience: int = 5
    loss: str = "dice"
    augmentation: bool = False
    precision: str = "auto"
    device: str = "auto"
    compile: bool = False
    resident_limit_gb: float = 16
