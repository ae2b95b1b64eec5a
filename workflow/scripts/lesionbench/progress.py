"""How far a long step is: a bar in a terminal, and a line a minute in the log."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, nullcontext
from time import monotonic
from typing import TypeVar

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lesionbench.logs import PROGRESS
from lesionbench.words import counted, duration

EVERY = 60.0  # seconds from line to line
DELAY = 2.0  # seconds that pass without a bar: a short step shows none
Item = TypeVar("Item")
Advance = Callable[[int], None]

logger = logging.getLogger(PROGRESS)


def track(items: Iterable[Item], noun: str, total: int | None = None, label: str = "") -> Iterator[Item]:
    """Yield the items; each counts as done when the next is asked for.

    noun: what they are, in the singular; total: their number, where the items do not say; label: as of `progress`.
    """
    if total is None:
        assert isinstance(items, Sized)
        total = len(items)
    with progress(noun, total, label) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress(noun: str, total: int, label: str = "") -> Iterator[Advance]:
    """Yield a function that is told how many more items are done.

    noun: what they are, in the singular; label: what they are of. The log has a line a minute, such as "epoch 3: 23 of
    56 studies, about 3 min left", and one at the end where there was another before. Messages go above the bar.
    """
    began = said = monotonic()
    done = 0
    prefix, whole = f"{label}: " if label else "", counted(total, noun)
    form = f"{{desc}}{{n_fmt}} of {whole} |{{bar:30}}| {{remaining}} left"
    with (
        tqdm(desc=prefix, total=total, bar_format=form, delay=DELAY, leave=False, disable=None) as bar,
        nullcontext() if bar.disable else logging_redirect_tqdm(),
    ):

        def advance(count: int) -> None:
            nonlocal done, said
            done += count
            bar.update(count)
            now = monotonic()
            if now - said >= EVERY or (done >= total and said > began):
                said = now
                left = f", about {duration((now - began) / done * (total - done))} left" if done < total else ""
                logger.info("%s%s of %s%s", prefix, f"{done:,}", whole, left)

        yield advance
