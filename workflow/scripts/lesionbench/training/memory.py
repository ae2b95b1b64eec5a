"""The error where a device has too little memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lesionbench.errors import UserError


@contextmanager
def explain_out_of_memory(device: torch.device, remedy: str) -> Iterator[None]:
    """Turn a failed allocation into a UserError with `remedy`, a sentence that names the key to change."""
    try:
        yield
    except RuntimeError as error:
        # Only CUDA raises OutOfMemoryError; the CPU's and Apple's allocators raise RuntimeError with these words.
        words = ("out of memory", "can't allocate memory")
        if not isinstance(error, torch.OutOfMemoryError) and not any(text in str(error) for text in words):
            raise
        raise UserError(f"{device}: out of memory. {remedy}") from error
