"""Repeated, alternating measurements, and the rows of the table that they make."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Setting:
    """Where and how often to measure: the device of networks, and a folder for files, which goes at the end."""

    device: "torch.device"
    repetitions: int
    folder: Path

    @property
    def full_size(self) -> bool:
        """Say whether networks are measured at the size of MosMedData, which takes a GPU."""
        return self.device.type == "cuda"


@dataclass(frozen=True)
class Row:
    """A line of the table: a value of each repetition, and the bar that their median has to reach, if there is one.

    seconds: what each contender took in each repetition, from which the values come.
    """

    name: str
    what: str
    unit: str
    values: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""
    seconds: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Say whether the bar is reached; None where there is none."""
        if self.at_least is not None:
            return self.median >= self.at_least
        return None if self.at_most is None else self.median <= self.at_most

    @property
    def bar(self) -> str:
        """The bar in the table's words."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}"
        return "" if self.at_most is None else f"≤ {self.at_most:g} {self.unit}"

    def as_json(self) -> dict[str, Any]:
        spread = {"median": self.median, "min": min(self.values), "max": max(self.values), "met": self.met}
        return asdict(self) | spread


def timed(function: Callable[..., object], *arguments: object) -> Callable[[], float]:
    """Return a contender for `alternate`: it calls the function and returns the seconds that this took."""

    def contender() -> float:
        started = time.perf_counter()
        function(*arguments)
        return time.perf_counter() - started

    return contender


def alternate(contenders: Mapping[str, Callable[[], float]], repetitions: int) -> dict[str, list[float]]:
    """Run the contenders in turn, `repetitions` times, and return the seconds that each says it took.

    Alternating lets other load on the machine affect all of them equally.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, contender in contenders.items():
            seconds[name].append(contender())
    return seconds


def ratios(seconds: Mapping[str, Sequence[float]], numerator: str, denominator: str) -> list[float]:
    """Return the ratio of two contenders' seconds in each repetition."""
    return [a / b for a, b in zip(seconds[numerator], seconds[denominator], strict=True)]


def peak_memory() -> int:
    """Return the most memory that this process has held, in bytes.

    On Linux not by `getrusage`: its figure starts from that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(fields["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
