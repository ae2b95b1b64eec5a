"""One process at a time in a folder: a lock that ends with its holder, and a note of who that is."""

import fcntl
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import psutil

from lesionbench.errors import UserError

logger = logging.getLogger(__name__)

STOP_SECONDS = 120  # between asking an orphan to end and giving up; a step of a large network may take long
_SAME_SECONDS = 5  # a process of this number that started that near to the time in the note is the one meant


@contextmanager
def held_lock(path: Path, doing: str = "running") -> Iterator[TextIO]:
    """Hold the lock of a file inside the block; yield the file, which whom the lock is for may inherit.

    The file says who holds it, and what that one is doing (`note`).

    A process that holds it and whose Snakemake was killed is ended first, by SIGTERM, as are the programs that a killed
    one has left. Where the file system cannot lock, a warning says so. The file is removed at the end.

    Raises UserError, naming the process and its machine, where the lock is held by one that is at work, runs on another
    machine, or does not end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _take(path)
    try:
        note(file, doing=doing)
        yield file
    finally:
        path.unlink(missing_ok=True)
        file.close()


def note(file: TextIO, **more: Any) -> None:
    """Write into a held lock what its holder does, and, as `group`, the process group that has inherited it."""
    _write(file, _describe_this_process() | more)


def read_note(path: Path) -> dict[str, Any] | None:
    """Return what the holder of a lock has written: its host, and what it does; None where nobody holds it.

    A holder on another host counts as one: whether it still runs cannot be seen from here.
    """
    try:
        with path.open(encoding="utf-8") as file:
            owner = _read(file)
    except OSError:
        return None
    is_here = owner.get("host") == socket.gethostname()
    return None if not owner or (is_here and not _is_alive([owner["process"], owner["since"]])) else owner


def _take(path: Path) -> TextIO:
    deadline = time.monotonic() + STOP_SECONDS
    asked: set[int] = set()
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read(file)
            file.close()
            if time.monotonic() > deadline or not _is_orphan(owner):
                raise UserError(_refusal(path, owner)) from None
            _end(owner, asked)
            time.sleep(0.2)
            continue
        except OSError as error:
            logger.warning("%s cannot be locked (%s): start no second Snakemake on these results.", path, error)
            return file
        if _is_still(file, path):
            return file
        file.close()  # its holder has removed it since


def _is_still(file: TextIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _refusal(path: Path, owner: dict[str, Any]) -> str:
    process, host = owner.get("process", "unknown"), owner.get("host", "an unknown machine")
    return (
        f"{path.parent}: process {process} on {host} is at work here, and two would overwrite each other. Let it "
        "finish or end it, then run the same command again."
    )


def _is_orphan(owner: dict[str, Any]) -> bool:
    """Say whether a lock's holder on this machine, or who started it, has ended.

    Where nothing is written yet, the holder is about to write it.
    """
    if not owner:
        return True
    holder, here = [owner["process"], owner["since"]], owner["host"] == socket.gethostname()
    return here and not (_is_alive(holder) and _is_alive(owner["starter"]))


def _end(owner: dict[str, Any], asked: set[int]) -> None:
    """Ask a process to end, once; where it has ended, end the group of processes that it has left."""
    if not owner:
        return
    process = owner["process"]
    if _is_alive([process, owner["since"]]):
        if process not in asked:
            logger.warning("Ending process %d, which a Snakemake that was killed has left at work here.", process)
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            asked.add(process)
    elif group := owner.get("group"):
        logger.warning("Ending what a job that was killed has left running (process group %d).", group)
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _is_alive(process: list[Any] | None) -> bool:
    """Say whether a process, given as its number and start, runs; true where it is unknown which is meant."""
    if process is None:
        return True
    number, since = process
    with suppress(psutil.Error):
        found = psutil.Process(number)
        is_meant = bool(abs(found.create_time() - since) < _SAME_SECONDS)
        return is_meant and found.status() != psutil.STATUS_ZOMBIE
    return False


def _describe_this_process() -> dict[str, Any]:
    this = psutil.Process()
    return {"host": socket.gethostname(), "process": this.pid, "since": this.create_time(), "starter": _starter(this)}


def _starter(process: psutil.Process) -> list[Any] | None:
    """Return number and start of the process that waits for this one: Snakemake, above the shell that runs a script."""
    with suppress(psutil.Error):
        for parent in process.parents():
            if not sys.argv[0].endswith(".py") or not any(sys.argv[0] in part for part in parent.cmdline()):
                return [parent.pid, parent.create_time()]
    return None


def _write(file: TextIO, owner: dict[str, Any]) -> None:
    text = json.dumps(owner)
    file.truncate(0)
    file.write(text)
    file.flush()


def _read(file: TextIO) -> dict[str, Any]:
    file.seek(0)
    try:
        owner: dict[str, Any] = json.load(file)
    except ValueError:  # being written
        return {}
    return owner if isinstance(owner, dict) and {"host", "process", "since", "starter", "doing"} <= owner.keys() else {}
