"""Numbers in the smaller of two types that hold a CT: int16 where that loses nothing, else float32."""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

PART = 2**16  # numbers that are converted at a time


def narrowed(begin: Callable[[], Iterable[np.ndarray]], shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers of this shape as int16 where each is a whole number in its range, else as the nearest float32.

    begin: yields them flat, in parts, the first axis fastest. It is called again where a number turns out to need
    float32, so that neither all numbers in their own type nor both results are ever in memory.
    """
    found = _filled(np.int16, begin(), shape)
    if found is None:
        found = _filled(np.float32, begin(), shape)
    assert found is not None  # float32 takes any number
    return found


def _filled(kind: type[np.number], parts: Iterable[np.ndarray], shape: tuple[int, ...]) -> np.ndarray | None:
    """Return an array filled with the numbers, None where it is to be of int16 and does not hold one of them."""
    numbers, done = np.empty(math.prod(shape), kind), 0
    for part in parts:
        stretch = numbers[done : done + len(part)]
        with np.errstate(over="ignore", invalid="ignore"):  # what int16 cannot hold comes out changed
            stretch[:] = part
        if kind is np.int16 and (stretch != part).any():
            return None
        done += len(part)
    return numbers.reshape(shape, order="F")


def narrow(data: np.ndarray) -> np.ndarray:
    """Return the numbers of an array as `narrowed` does; the array itself where it is of int16."""
    return data if data.dtype == np.int16 else narrowed(lambda: in_parts(data), data.shape)


def in_parts(data: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the numbers of an array flat, in parts, the first axis fastest."""
    flat = data.reshape(-1, order="F")
    return (flat[start : start + PART] for start in range(0, len(flat), PART))
