"""Counts, numbers and lists as parts of sentences.

Needs only the standard library: it is imported while Snakemake parses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number


@dataclass(frozen=True)
class Verbatim(Number):
    """Text of the user's as a label of Snakemake's report.

    Snakemake fills in wildcards in a label that is a string, and has no escape for braces; for a number that is neither
    int nor float it takes the text as it is (`expand_report_argument` in snakemake.report).
    """

    text: str

    def __str__(self) -> str:
        return self.text


def counted(number: int, noun: str) -> str:
    """Return "1 study", "2 studies", "1,110 studies": a number with its noun, given as the singular."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def duration(seconds: float) -> str:
    """Return "45 s", "12 min", "3 h 05 min"."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def rounded(number: float) -> str:
    """Return "0.0123", "12.3", "1,230": a number below a million to three digits."""
    return f"{float(f'{number:.3g}'):,g}"


def first_few(items: Sequence[str], count: int = 5) -> str:
    """Return "a, b, c": the first `count` items, with an ellipsis where there are more."""
    return ", ".join([*items[:count], *(["…"] if len(items) > count else [])])


def listed(items: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
