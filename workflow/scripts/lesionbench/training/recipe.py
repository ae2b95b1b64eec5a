"""How a model is trained. Needs nothing but the standard library."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The section `training` of the configuration, with a model's own overrides; the schema says what each key means.

    foreground_share: of the slices of a batch; warmup_epochs, patience: in epochs; gradient_clipping: a norm, None for
    no limit; ema_decay: of each step; augmentation: none, light or strong, also read as false and true, which mean none
    and light; precision: auto, float32 or bfloat16; device: auto, cpu, mps, cuda or cuda:N; resident_limit_gb: in units
    of 10⁹ bytes.
    """

    batch_size: int = 8
    foreground_share: float = 0
    optimizer: str = "adam"
    learning_rate: float = 0.0001
    weight_decay: float = 0
    schedule: str = "none"
    warmup_epochs: int = 0
    gradient_clipping: float | None = None
    ema_decay: float = 0
    max_epochs: int = 100
    patience: int = 5
    best_epoch_by: str = "loss"
    loss: str = "dice"
    deep_supervision: bool = False
    augmentation: str = "none"
    precision: str = "auto"
    device: str = "auto"
    compile: bool = False
    resident_limit_gb: float = 16

    def __post_init__(self) -> None:
        if isinstance(self.augmentation, bool):
            object.__setattr__(self, "augmentation", "light" if self.augmentation else "none")
