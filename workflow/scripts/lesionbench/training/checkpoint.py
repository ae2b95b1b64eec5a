"""The state of an unfinished training: written after each epoch, found again after a kill."""

import json
import logging
import pickle
import signal
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lesionbench.errors import DAMAGED
from lesionbench.files import atomic, open_regular

# What zipfile, PyTorch and its reader of pickles raise for what is no state.
_UNREADABLE = (*DAMAGED, EOFError, RuntimeError, AssertionError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error)
logger = logging.getLogger(__name__)


def cpu_copy(value: Any) -> Any:
    """Return a state_dict with its tensors copied to the CPU, where further training does not change them."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: cpu_copy(item) for key, item in value.items()}
    return [cpu_copy(item) for item in value] if isinstance(value, list) else value


@contextmanager
def state_writer(path: Path, fingerprint: Mapping[str, Any]) -> Iterator[Callable[..., None]]:
    """Yield a function that writes a training's state, CPU tensors and plain values, in the background.

    Writing half a gigabyte may take as long as an epoch does on a fast GPU. A kill costs the same with and without: the
    last epoch and the time of a write. The next call and the end of the block wait for the write under way. At each
    moment `path` is whole, the old state or the new. A tensor that a state holds twice is written once.
    """
    writes: list[Future[None]] = []

    def write(state: Mapping[str, Any]) -> None:
        with atomic(path) as temporary:
            torch.save({"fingerprint": fingerprint, **state}, temporary)

    def finish() -> None:
        while writes:
            writes.pop().result()

    with ThreadPoolExecutor(max_workers=1) as thread:

        def save(**state: Any) -> None:
            finish()
            writes.append(thread.submit(write, state))

        yield save
        finish()


def load_state(
    path: Path, fingerprint: Mapping[str, Any], check: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any] | None:
    """Return the state that a training with this fingerprint left, its tensors on the CPU; None if there is none.

    A state of another fingerprint is reported with what differs and left to be overwritten. A file that is truncated,
    damaged or no state at all, or that `check` raises ValueError for, is renamed to `training-state.broken-….pt`. What
    a kill left of a half-written state is removed. Nothing in it is executed.
    """
    remove_partial(path)
    if not path.exists():
        return None
    try:
        _check_parts(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found, wanted = _flat(state["fingerprint"]), _flat(fingerprint)
        changed = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
        if check and not changed:
            check(state)
    except _UNREADABLE as error:
        aside = path.with_name(f"{path.stem}.broken-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
        path.replace(aside)
        reason = str(error).partition("\n")[0]
        logger.warning(
            "%s is no state of a training (%s); set aside as %s. The training starts over.", path, reason, aside.name
        )
        return None
    if changed:
        logger.info("%s belongs to another training (different: %s). This one starts over.", path, ", ".join(changed))
        return None
    return state


def _check_parts(path: Path) -> None:
    """Raise ValueError where a part of a state does not have the CRC-32 that it was written with, or is packed.

    PyTorch writes an archive with the sum of each part, and does not look at them when it reads. It packs nothing, so
    that no part is larger than the file.
    """
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise ValueError("it is packed")
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")


def remove_state(path: Path) -> None:
    """Remove a state that is no longer needed."""
    path.unlink(missing_ok=True)
    remove_partial(path)


def remove_partial(path: Path) -> None:
    """Remove what killed processes left of `path`, which `atomic` writes under a temporary name."""
    for partial in path.parent.glob(f".*-{path.name}"):
        partial.unlink(missing_ok=True)


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], None]]:
    """Yield a function to call where stopping is safe: it exits with 128 + signal once SIGTERM or SIGINT has come."""
    received: list[int] = []

    def check() -> None:
        if received:
            name = signal.Signals(received[0]).name
            logger.warning("Stopped by %s. The last complete epoch is kept; the same command goes on from there.", name)
            raise SystemExit(128 + received[0])

    watched = (signal.SIGTERM, signal.SIGINT)
    previous = [signal.signal(number, lambda number, frame: received.append(number)) for number in watched]
    try:
        yield check
    finally:
        for number, handler in zip(watched, previous, strict=True):
            signal.signal(number, handler)


def _flat(value: Any, key: str = "") -> dict[str, str]:
    """Return the leaves of nested mappings as canonical JSON by dotted key."""
    if not isinstance(value, Mapping):
        return {key: json.dumps(value, sort_keys=True)}
    return {leaf: text for name in value for leaf, text in _flat(value[name], f"{key}.{name}".lstrip(".")).items()}
