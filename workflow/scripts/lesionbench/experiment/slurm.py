"""Jobs of SLURM that an earlier Snakemake, which has ended, left in the queue.

Imported while Snakemake parses, so it needs nothing but the standard library.
"""

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lesionbench.errors import UserError
from lesionbench.files import atomic

CLAIM = ".slurm-job"  # in the folder of a training: the number of the job that runs there
CANCEL_SECONDS = 120  # SLURM itself kills what has not ended 30 s (KillWait) after it was asked to

logger = logging.getLogger(__name__)


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Leave the number of this SLURM job in `folder` as long as the block runs. Without SLURM, nothing is left."""
    job = os.environ.get("SLURM_JOB_ID")
    path = folder / CLAIM
    if job:
        with atomic(path) as temporary:
            temporary.write_text(job, encoding="utf-8")
    try:
        yield
    finally:
        if job:
            path.unlink(missing_ok=True)


def claimed_by(folder: Path) -> str | None:
    """Return the number of the job that last claimed `folder`; it may have been killed since."""
    path = folder / CLAIM
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def cancel_left_over(jobs: Iterable[str], poll_seconds: float = 1) -> list[str]:
    """Cancel those of `jobs` that are still in the queue, with all others of the same name, and return their numbers.

    The name is that of the Snakemake run which submitted them. The function waits until they have left the queue. A
    training that is cancelled keeps its last whole epoch, from which the next one goes on. Where there is no SLURM,
    nothing is done.

    Raises UserError where SLURM does not answer, or the jobs do not end.
    """
    wanted = set(jobs)
    if not wanted or not shutil.which("squeue"):
        return []
    queue = _queue()
    runs = {queue[job] for job in wanted & queue.keys()}
    found = sorted(job for job, run in queue.items() if run in runs)
    if not found:
        return []
    logger.warning(
        "An earlier Snakemake left these jobs in SLURM's queue: %s. They are cancelled and submitted again, so that "
        "nothing is made twice; trainings go on from their last epoch.",
        ", ".join(found),
    )
    _ask("scancel", *found)
    deadline = time.monotonic() + CANCEL_SECONDS
    while left := _queue().keys() & set(found):
        if time.monotonic() > deadline:
            raise UserError(
                f"SLURM's jobs {', '.join(sorted(left))} were left by an earlier Snakemake and did not end within "
                f"{CANCEL_SECONDS} s of their cancellation. See `squeue --me`, and start again when they are gone."
            )
        time.sleep(poll_seconds)
    return found


def _queue() -> dict[str, str]:
    """Return the names of this user's pending and running jobs by number."""
    rows = _ask("squeue", "--me", "--array", "--noheader", "--format=%i|%j").split()
    return dict(row.split("|", 1) for row in rows)


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        raise UserError(
            f"SLURM did not answer `{' '.join(command[:2])}` ({reason}), so it is unknown which jobs an earlier "
            "Snakemake left. Start again when SLURM answers."
        ) from None
