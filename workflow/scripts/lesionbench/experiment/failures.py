"""What is said last when Snakemake ends with failed jobs: which they are, and why.

Imported while Snakemake parses, so it needs nothing but the standard library.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lesionbench.words import counted

LONGEST = 600  # characters of a reason
SHOWN = 20  # reasons
_RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (ERROR|WARNING) ", re.MULTILINE)
_KILLED = "it ended without a message. It was killed, by hand or by a limit of memory or time; its log has more"
_NO_ROOM = "No space left on device, where its log is, or nearly so ({}). Make room and run the same command again"
_LITTLE = 2**20  # bytes; what a failed job had written is removed before this is asked


class Failure(NamedTuple):
    """A job that failed: what it did, in words, and its log."""

    job: str
    log: Path | None


def describe_failures(failures: Sequence[Failure]) -> str:
    """Return a paragraph on one failed job; of several, one for each reason, with the jobs that it ended.

    A reason is the last error in a job's log, or its last warning, cut where it is long.
    """
    by_reason = defaultdict(list)
    for failure in sorted(failures):
        by_reason[_reason(failure.log)].append(failure)
    parts = [_paragraph(reason, jobs) for reason, jobs in list(by_reason.items())[:SHOWN]]
    if len(by_reason) > SHOWN:
        parts.append(f"… and {counted(len(by_reason) - SHOWN, 'further reason')}.")
    if len(failures) > 1:
        parts.insert(0, f"{counted(len(failures), 'job')} failed.")
    return "\n\n".join(parts)


def _paragraph(reason: str, failures: Sequence[Failure]) -> str:
    first = failures[0]
    others = "".join(f"\n  {failure.job}" for failure in failures[1 : SHOWN + 1])
    if len(failures) > SHOWN + 1:
        others += f"\n  … and {len(failures) - SHOWN - 1:,} more"
    same = f"\n  The same ended {counted(len(failures) - 1, 'other job')}:{others}" if others else ""
    log = f"\n  Log: {first.log}" if first.log else ""
    return f"{first.job} failed: {reason}{log}{same}"


def _reason(log: Path | None) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace") if log else ""
    except OSError:
        text = ""
    records = list(_RECORD.finditer(text))
    errors = [record for record in records if record[1] == "ERROR"] or records
    if not errors:
        return _without_message(log)
    said = text[errors[-1].end() :].strip()
    if said.startswith("Traceback"):
        said = said.splitlines()[-1]
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} …"


def _without_message(log: Path | None) -> str:
    try:
        free = shutil.disk_usage(log.parent).free if log else None
    except OSError:
        free = None
    return _NO_ROOM.format(f"{free:,} bytes are left") if free is not None and free < _LITTLE else _KILLED
