"""Where a job's messages go: its log file and the terminal."""

import logging
import signal
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lesionbench.errors import UserError

logger = logging.getLogger("lesionbench")
PROGRESS = "lesionbench-progress"  # the logger of `progress`, which `collected_warnings` leaves alone


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Send log messages, Python warnings and the reason of a failure to `path` and to standard error.

    A script enters it before it imports anything heavy, so that a failing import reaches the log as well. A
    `UserError` is logged as one message, anything else with its traceback; both end the process with exit status 1.
    SIGINT and SIGTERM end it as exceptions do, so that nothing half-written stays, and without a traceback.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        handlers=[logging.FileHandler(path, mode="w"), logging.StreamHandler(sys.stderr)],
        force=True,
    )
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a full disk under the log is no reason for tracebacks on the screen
    try:
        with exit_on_signal():
            yield
    except UserError as error:
        logger.error("%s", error)
        raise SystemExit(1) from None
    except Exception:
        logger.error("%s", traceback.format_exc())
        raise SystemExit(1) from None


@contextmanager
def exit_on_signal() -> Iterator[None]:
    """Leave the block by SystemExit, with 128 + signal, once SIGTERM or SIGINT has come."""

    def leave(number: int, _: object) -> None:
        logger.warning("Stopped by %s. The same command goes on from what is finished.", signal.Signals(number).name)
        raise SystemExit(128 + number)

    watched = (signal.SIGTERM, signal.SIGINT)
    previous = [signal.signal(number, leave) for number in watched]
    try:
        yield
    finally:
        for number, handler in zip(watched, previous, strict=True):
            signal.signal(number, handler)


class _ByThread(logging.Handler):
    """Keeps messages by the thread that logged them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: dict[int | None, list[str]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages[record.thread].append(record.getMessage())


@contextmanager
def collected_warnings() -> Iterator[Callable[[], list[str]]]:
    """Keep the library's warnings from log and terminal; yield a function that hands over those of its own thread.

    It returns what has come since its last call in that thread.
    """
    handler, propagates = _ByThread(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield lambda: handler.messages.pop(threading.get_ident(), [])
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)
