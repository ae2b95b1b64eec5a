"""Files that are either whole or not there, their hashes, and links to nothing."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any

from lesionbench.errors import UserError

LARGEST_TEXT = 2**26  # bytes of a file that is read as text; of a thousand studies it takes a tenth
LONGEST_NAME, LONGEST_PATH = 255, 4096  # bytes, of Linux
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_UMASK = os.umask(0o077)  # it can only be read by setting it
os.umask(_UMASK)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` when the block ends without an exception.

    The temporary name keeps the suffixes of `path` (`.nii.gz` stays `.nii.gz`), because writers choose their format by
    them. After an exception the temporary file is removed and `path` is as it was; where it came because the disk is
    full or a quota spent, it is a UserError, whatever exception the writer raised.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_UMASK)  # some writers, such as safetensors, leave the file to its owner alone
        temporary.replace(path)
    except Exception as error:
        if reason := _lack_of_room(error, temporary):
            raise UserError(
                f"{path} cannot be written ({reason}). Make room and run the same command again."
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any, indent: int = 2) -> None:
    """Write what JSON can hold as a text that people read, by `atomic`."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def _lack_of_room(error: Exception, temporary: Path) -> str:
    """Return the system's message where `error` came from a lack of room, else an empty string.

    Some writers, such as PyTorch, report a short write without the system's message: writing a little more shows it.
    """
    codes = [number for number in _NO_ROOM if os.strerror(number) in str(error)]
    if not codes:
        try:
            with temporary.open("ab") as file:
                file.write(bytes(2**20))
                file.flush()
                os.fsync(file.fileno())
        except OSError as probe:
            codes = [probe.errno] if probe.errno in _NO_ROOM else []
    return os.strerror(codes[0]) if codes else ""


def read_bytes(path: str | Path, most: int = LARGEST_TEXT) -> bytes:
    """Return the content of a file of at most `most` bytes.

    Raises OSError where it is no regular file (a pipe would wait for ever, a device never end), ValueError where it is
    larger.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return content


def open_regular(path: str | Path) -> BufferedReader:
    """Open a file to read. Raises OSError where it is no regular file, before it is opened."""
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "this is a folder, a pipe or a device, and no file", str(path))
    return Path(path).open("rb")


def read_json(path: str | Path, most: int = LARGEST_TEXT) -> dict[str, Any]:
    """Return the object that a file holds as JSON. Raises OSError or ValueError where there is none."""
    try:
        content = json.loads(read_bytes(path, most))
        json.dumps(content, ensure_ascii=False).encode()  # what could not be written again, as half a surrogate
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("it holds no object of JSON")
    return content


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits; of a folder, of its files in their order."""
    if Path(path).is_dir():
        return hashlib.sha256("".join(map(sha256, visible_files(path))).encode()).hexdigest()
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def visible_files(folder: str | Path) -> list[Path]:
    """Return the files below a folder in the order of their names, less hidden ones, such as macOS's `._*`."""
    return [
        path
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


@cache
def folder_state(path: str | Path) -> str:
    """Return a hash of the names, sizes and times of the `visible_files` below a folder, "" for a file.

    What changes a file in place changes this hash, and not the folder's own time. No file is opened.
    """
    return hashlib.sha256("\n".join(_states(path)).encode()).hexdigest() if Path(path).is_dir() else ""


def _states(folder: str | Path) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:  # who reads the files says it better
        yield str(error)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from (f"{entry.name}/{state}" for state in _states(entry.path))
        elif entry.is_file():
            status = entry.stat()
            yield f"{entry.name} {status.st_size} {status.st_mtime_ns}"


def can_be_path(text: str) -> bool:
    """Say whether a file may be called so: no part has more than 255 bytes, and there is no NUL in it."""
    try:
        parts = text.encode().split(b"/")
    except UnicodeEncodeError:  # half a surrogate
        return False
    return "\0" not in text and max(map(len, parts)) <= LONGEST_NAME and len(text) < LONGEST_PATH


def refuse_links_to_nothing(paths: Iterable[Path], key: str) -> None:
    """Raise UserError, naming the configuration's key, where some of `paths` are links whose targets do not exist.

    Such are the files of a git-annex or DataLad data set whose content has not been fetched.
    """
    dangling = [str(path) for path in paths if path.is_symlink() and not path.exists()]
    if dangling:
        shown = ", ".join(dangling[:3]) + (" …" if len(dangling) > 3 else "")
        raise UserError(
            f"{key}: {len(dangling)} of the links there lead to nothing ({shown}). Fetch their content (in a DataLad "
            "data set with `datalad get .`), correct the links, or remove them."
        )
