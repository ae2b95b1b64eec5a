"""What of a source file changes with its content, read in well under a millisecond.

Snakemake looks at times: it takes a file that was replaced by an older one for unchanged, and a fresh copy for changed.
Imported while Snakemake parses, so it needs nothing but the standard library.
"""

import os
import zlib
from functools import cache
from pathlib import Path
from typing import BinaryIO

from lesionbench.files import folder_state, open_regular

_WHOLE = 2**23  # bytes; a larger file counts by samples
_TAIL = 2**16
_SAMPLES = 64
_GZIP = b"\x1f\x8b"


def content(path: str | Path) -> str:
    """Return a sum over the content of a file; of a folder, over its files' names, sizes and times; "" without one.

    A gzip file ends with the CRC-32 of what is packed in it, so its tail stands for all of it. Another file counts
    whole up to 8 MiB, and by its size and 65 samples above.
    """
    return look(path)[0]


def is_told_by_content(path: str | Path) -> bool:
    """Return whether `content` changes with any byte of a file, so that its time need not count."""
    return look(path)[1]


@cache
def look(path: str | Path) -> tuple[str, bool]:
    """Return `content` and `is_told_by_content`, from one look at a file."""
    path = Path(path)
    if path.is_dir():
        return folder_state(path), False
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            tail_tells = _is_single_gzip(file, size)
            return f"{size}-{_sum(file, size, tail_tells):08x}", tail_tells or size <= _WHOLE
    except OSError:  # who reads the file says it better
        return "", False


def _is_single_gzip(file: BinaryIO, size: int) -> bool:
    """Say whether all that is packed in a file is one part: of several, the last would stand for all."""
    file.seek(0)
    if file.read(2) != _GZIP:
        return False
    file.seek(-4, os.SEEK_END)
    unpacked = int.from_bytes(file.read(), "little")  # modulo 2³² (RFC 1952, section 2.3.1)
    return unpacked >= size


def _sum(file: BinaryIO, size: int, tail_tells: bool) -> int:
    if not tail_tells and size <= _WHOLE:
        file.seek(0)
        return zlib.crc32(file.read())
    total, step = 0, size // _SAMPLES
    starts = [] if tail_tells else range(0, size - _TAIL, step)
    for start in [*starts, max(0, size - _TAIL)]:
        file.seek(start)
        total = zlib.crc32(file.read(_TAIL), total)
    return total
