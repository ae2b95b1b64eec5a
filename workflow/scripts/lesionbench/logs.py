"""Where a job's messages go: its log file and the terminal."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lesionbench.errors import UserError

logger = logging.getLogger("lesionbench")


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Send log messages, Python warnings and the reason of a failure to `path` and to standard error.

    A script enters it before it imports anything heavy, so that a failing import reaches the log as well. A
    `UserError` is logged as one message, anything else with its traceback; both end the process with exit status 1.
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
    try:
        yield
    except UserError as error:
        logger.error("%s", error)
        raise SystemExit(1) from None
    except Exception:
        logger.error("%s", traceback.format_exc())
        raise SystemExit(1) from None
