"""Two versions of a file compared number by number: the one that was handed in, and the one that was computed again."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesionbench.data.frames import TEXT

# Equal numbers differ by how a processor and a version of NumPy round, in about the last four of 16 digits; a table
# shows three. A count below a billion that differs by one differs by more.
RELATIVE, ABSOLUTE = 1e-9, 1e-12
MISSING = "nothing"
_KEYS = (
    "study",
    "model",
    "first",
    "second",
    "subset",
    "set",
    "by",
    "group",
    "item",
    "topic",
)  # what a row is called by


@dataclass(frozen=True)
class Difference:
    """A place where two versions differ: the file, the row and the column in it, and what each says there.

    computed: empty where `given` says it all.
    """

    file: str
    row: str
    column: str
    given: str
    computed: str

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.row, self.column) if part)
        again = f", recomputed {self.computed}" if self.computed else ""
        return f"{self.file}{f' ({place})' if place else ''}: {self.given}{again}"


class Comparison:
    """The numbers that were compared, and the differences that were found."""

    def __init__(self) -> None:
        self.numbers = 0
        self.differences: list[Difference] = []

    def compare(self, given: Path, computed: Path, name: str) -> None:
        """Compare a file with the one that was computed again, by what its suffix says it is."""
        if not given.is_file():
            self.differences.append(Difference(name, "", "", "missing", ""))
            return
        reader = {".csv": self._tables, ".json": self._trees}.get(computed.suffix, self._texts)
        try:
            reader(given, computed, name)
        except (ValueError, TypeError, RecursionError, csv.Error) as error:
            self.differences.append(Difference(name, "", "", f"unreadable ({error})", ""))

    def _tables(self, given: Path, computed: Path, name: str) -> None:
        """Compare the columns of the second table; the first may have more."""
        ours, theirs = (_read(path) for path in (computed, given))
        columns = list(ours[0]) if ours else []
        if len(ours) != len(theirs):
            self.differences.append(Difference(name, "", "", f"{len(theirs)} rows", f"{len(ours)} rows"))
        keys = [column for column in columns if column in _KEYS]
        for number, (one, other) in enumerate(zip(theirs, ours, strict=False), 1):
            row = " ".join([f"row {number}", *(other[key] for key in keys)])
            for column in columns:
                self._values(one.get(column), other[column], name, row, column)

    def _trees(self, given: Path, computed: Path, name: str) -> None:
        one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (given, computed))
        self._branches(one, other, name, "")

    def _branches(self, one: Any, other: Any, name: str, place: str) -> None:
        """Compare what the second of two trees holds; the first may have more keys."""
        if isinstance(other, Mapping) and isinstance(one, Mapping):
            for key, value in other.items():
                self._branches(one.get(key), value, name, f"{place}.{key}".lstrip("."))
        elif isinstance(other, list) and isinstance(one, list) and len(one) == len(other):
            for number, (left, right) in enumerate(zip(one, other, strict=True)):
                self._branches(left, right, name, f"{place}[{number}]")
        else:
            self._values(_text(one), _text(other), name, place, "")

    def _texts(self, given: Path, computed: Path, name: str) -> None:
        """Compare line by line. The same numbers are rounded to the same text."""
        lines = (path.read_text(encoding="utf-8").splitlines() for path in (given, computed))
        one, other = lines
        if len(one) != len(other):
            self.differences.append(Difference(name, "", "", f"{len(one)} lines", f"{len(other)} lines"))
        for number, (left, right) in enumerate(zip(one, other, strict=False), 1):
            if left != right:
                self.differences.append(Difference(name, f"line {number}", "", *_where_they_part(left, right)))

    def _values(self, one: str | None, other: str, name: str, row: str, column: str) -> None:
        number = _number(other) if column not in TEXT else None
        self.numbers += number is not None
        if one == other:
            return
        given = None if one is None else _number(one)
        if number is not None and given is not None and math.isclose(given, number, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            return
        self.differences.append(Difference(name, row, column, one or MISSING, other or MISSING))


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [dict(line) for line in csv.DictReader(file, restkey="", restval="")]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _where_they_part(one: str, other: str, around: int = 30) -> Iterator[str]:
    """Yield the part of each of two lines around the first character that differs."""
    same = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    for line in (one, other):
        yield f"…{line[max(same - around, 0) : same + around]}…"


def shown(differences: Sequence[Difference], most: int = 100) -> Iterator[str]:
    """Yield each difference as a line, and after so many how many more there are."""
    yield from map(str, differences[:most])
    if len(differences) > most:
        yield f"… and {len(differences) - most:,} more"
