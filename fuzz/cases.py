"""One case: good files are written, one is damaged, and everything that reads it is called."""

import gzip
import signal
import sys
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from fuzz.targets import TARGETS
from lesionbench.errors import UserError

SECONDS = 30  # what takes longer hangs
MARGIN = 128 * 2**20  # bytes that a reading may take beside twice the size of the file
_EVENTS = ("pickle.find_class", "os.system", "subprocess.Popen", "socket.connect", "os.exec", "os.posix_spawn")


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    kind: "read" where a reader took the file, "refused" where all raised UserError, else what is wrong; text: the first
    message, or what was raised.
    """

    target: str
    number: int
    kind: str
    text: str = ""

    @property
    def is_finding(self) -> bool:
        return self.kind not in ("read", "refused")


def write_case(target: str, seed: int, number: int, folder: Path) -> Path:
    """Write the files of a case to a folder, and return the one that is damaged."""
    random = Random(f"{seed}:{target}:{number}")
    files = _good_files(target)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    found = [
        (path, mutation)
        for pattern, mutation in TARGETS[target].damaged.items()
        for path in sorted(folder.glob(pattern))
    ]
    path, mutation = random.choice(found)
    path.write_bytes(mutation(path.read_bytes(), random))
    return path


@cache
def _good_files(target: str) -> dict[str, bytes]:
    with TemporaryDirectory(prefix="lesionbench-") as name:
        TARGETS[target].make(Path(name))
        files = [path for path in sorted(Path(name).rglob("*")) if path.is_file()]
        return {path.relative_to(name).as_posix(): path.read_bytes() for path in files}


def run_case(target: str, seed: int, number: int) -> Outcome:
    """Write a case and read it with everything that reads it, in this process."""
    with TemporaryDirectory(prefix="lesionbench-") as name:
        folder = Path(name, "given")
        folder.mkdir()
        path = write_case(target, seed, number, folder)
        before = _hidden(Path(name))
        kind, text = "refused", ""
        size = _unpacked_size(path)
        for reader in TARGETS[target].readers(folder):
            _forget_peak()
            start = _memory("VmRSS")
            found, said = _call(reader, path)
            taken = _memory("VmHWM") - start
            if taken > MARGIN + 2 * size:
                return Outcome(target, number, "memory", f"{taken / 2**20:.0f} MiB for {size:,} bytes: {said[:200]}")
            if found not in ("read", "refused"):
                return Outcome(target, number, found, said)
            if found == "refused":
                text = text or said
            else:
                kind = "read"
        if left := _hidden(Path(name)) - before:
            return Outcome(target, number, "left", ", ".join(sorted(left)))
        return Outcome(target, number, kind, text)


def _hidden(folder: Path) -> set[str]:
    """Return the files that a program leaves under a temporary name."""
    return {str(path.relative_to(folder)) for path in folder.rglob(".*")}


def _call(reader: Any, path: Path) -> tuple[str, str]:
    try:
        with _deadline(), _watched() as events, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader()
    except UserError as error:
        text = " ".join(str(error).split())
        if path.suffix != ".yaml" and not any(part in text for part in (path.name, path.parent.name)):
            return "unnamed", f"{path.name} is not named: {text[:300]}"
        return ("executed", str(events)) if events else ("refused", text)
    except TimeoutError as error:
        return "hang", _told(error)
    except BaseException as error:
        return "traceback", _told(error)
    return ("executed", str(events)) if events else ("read", "")


def _told(error: BaseException) -> str:
    """Return an exception, and the last lines of the library that it came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "lesionbench" in frame.filename]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-2:]]
    return f"{type(error).__name__}: {str(error)[:200]} ({' > '.join(places)})"


def _unpacked_size(path: Path) -> int:
    """Return the bytes of a file, unpacked where it is an archive of some kind."""
    size = path.stat().st_size
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                size += sum(map(len, iter(partial(file.read, 2**20), b"")))
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size += sum(min(item.file_size, 1100 * item.compress_size) for item in archive.infolist())
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile):
        pass
    return size


def _memory(name: str) -> int:
    """Return bytes of memory of this process: VmRSS in use, VmHWM at most since `_forget_peak`; 0 beside Linux."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def _forget_peak() -> None:
    """Let VmHWM start again (proc(5), clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


@contextmanager
def _deadline() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


_heard: list[list[str]] = []


def _listen(event: str, arguments: Any) -> None:
    if _heard and event in _EVENTS and arguments[0] != "git":  # which tells the version
        _heard[-1].append(f"{event} {arguments}"[:200])


sys.addaudithook(_listen)


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Yield a list that gets what is unpickled, started or connected to inside the block."""
    _heard.append([])
    try:
        yield _heard[-1]
    finally:
        _heard.pop()
