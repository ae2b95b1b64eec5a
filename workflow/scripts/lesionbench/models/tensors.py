"""Tensors from safetensors files, which hold nothing but numbers: nothing of them is executed."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lesionbench.files import open_regular


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name.

    Raises OSError where it is no regular file, ValueError where it is damaged: truncated, with a header that does not
    fit its size, or of another format.
    """
    open_regular(path).close()
    try:
        return dict(load_file(path))
    except (SafetensorError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from error
