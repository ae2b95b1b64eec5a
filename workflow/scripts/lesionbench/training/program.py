"""Running a program of another's: its output in the log, an end for all that it started."""

import logging
import os
import signal
import subprocess
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import TextIO

from lesionbench.errors import UserError
from lesionbench.logs import exit_on_signal
from lesionbench.progress import EVERY
from lesionbench.training.folder_lock import note
from lesionbench.words import duration

logger = logging.getLogger(__name__)

SHOWN_LINES = 15  # of its log, where it fails
STOP_SECONDS = 20  # between asking a program to end and ending it


def run_program(command: Sequence[str], lock: TextIO, environment: Mapping[str, str], key: str) -> None:
    """Run a command to its end, each line that it prints in the log.

    It is started in a process group of its own, which ends with this process's SIGTERM or SIGINT; all that it starts
    holds the lock (`folder_lock.held_lock`).

    Raises UserError, naming the configuration's key, where the command cannot be started or fails.
    """
    last: deque[str] = deque(maxlen=SHOWN_LINES)
    with exit_on_signal():
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                encoding="utf-8", errors="replace", env=environment, start_new_session=True, pass_fds=[lock.fileno()],
            )  # fmt: skip
        except OSError as error:
            raise UserError(f"{key}: {command[0]} cannot be started ({error.strerror}). Correct the path.") from None
        reader = Thread(target=_relay, args=(process.stdout, last))
        reader.start()
        try:
            note(lock, doing="running", group=process.pid)
            status = _wait(process, last)
        finally:
            _end_group(process)
            reader.join()
    if status:
        ended = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        lines = "\n".join(f"  {line}" for line in last) or "  (none)"
        raise UserError(f"{key}: the program {ended}. The last lines that it printed:\n{lines}")


def _wait(process: subprocess.Popen[str], last: deque[str]) -> int:
    """Return the exit status of a process. After each minute in which it prints nothing the log says that it runs."""
    began, seen = monotonic(), last.copy()
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(EVERY)
        if last == seen:
            said = f" The last line that it printed: {seen[-1]}" if seen else ""
            logger.info("The program has run for %s.%s", duration(monotonic() - began), said)
        seen = last.copy()


def _relay(output: Iterable[str], last: deque[str]) -> None:
    for line in output:
        if text := line.rstrip():
            logger.info("%s", text)
            last.append(text)


def _end_group(process: subprocess.Popen[str]) -> None:
    """End all that is left of a process group, at first by asking."""
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
