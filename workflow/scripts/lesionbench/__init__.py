"""Lesionbench: train and compare segmentation models of COVID-19 lesions on chest CT."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lesionbench.segmentation.model import Model

__version__ = "0.1.0"


def load_model(
    runs: "str | Path | Sequence[str | Path]",
    device: str = "auto",
    precision: str = "training",
    mirror: bool = False,
    code: Sequence[str] = (),
) -> "Model":
    """Load trained models, of which `Model.segment` takes the mean.

    runs: the folder of a training, of a model (all its trainings), or of an exported model, or several; device: auto,
    cpu, cuda, cuda:N or mps; precision: training (as it was trained), float32 or bfloat16; mirror: predict mirror
    images too; code: files or packages of networks of your own, which are executed.

    Raises `errors.UserError` where there is no run, it is damaged, or its code is not trusted.
    """
    from lesionbench.segmentation.model import load  # here, because PyTorch takes seconds

    return load(runs, device, precision, mirror, code)
