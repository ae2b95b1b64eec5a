"""A user's table of studies (`dataset.table`): a line a study, where its files lie and what is known of it.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library.
"""

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesionbench.data.listing import read_listing
from lesionbench.errors import UserError
from lesionbench.words import first_few

COLUMNS = ("study", "ct", "mask", "patient", "category", "series", "window")


@dataclass(frozen=True)
class Line:
    """A line of the table: paths as they are written, "" where there is none; what else is known of the study.

    window: centre and width, in HU, of the grey values 0 to 255 that its CT holds in place of HU.
    """

    study: str
    ct: str = ""
    mask: str = ""
    patient: str | None = None
    category: str | None = None
    series: str | None = None
    window: tuple[float, float] | None = None


def read_study_table(path: str | Path, key: str) -> tuple[dict[str, Line], bool]:
    """Return the lines by study, and whether the table names files: it has a column ct or mask.

    Raises UserError, naming the configuration's key, where it cannot be read, lacks the column study, a column is
    almost called as one that counts, a study has two lines, or a window is none.
    """
    header, rows = read_listing(path, key)
    label = f"{key}: {path}"
    _check_columns(label, header)
    counts = Counter(row["study"] for row in rows if "study" in row)
    if twice := [study for study, count in counts.items() if count > 1]:
        raise UserError(f"{label}: several lines are of {first_few(twice)}. A study has one line: remove the others.")
    lines = {row.get("study", ""): _line(row, label) for row in rows}
    return lines, bool({"ct", "mask"} & set(header))


def _check_columns(label: str, header: Sequence[str]) -> None:
    if "study" not in header:
        raise UserError(
            f"{label} needs the column study, and may have {', '.join(COLUMNS[1:])}; "
            f"its columns are: {', '.join(header) or 'none'}."
        )
    for name in header:
        near = difflib.get_close_matches(name, COLUMNS, 1, cutoff=0.75)
        if near and near[0] not in header:
            raise UserError(f"{label}: the column {name} means nothing here. Did you mean {near[0]}? Rename it.")
    if twice := [name for name in COLUMNS if header.count(name) > 1]:
        raise UserError(f"{label}: the column {twice[0]} is there twice. Remove one.")


def _line(row: Mapping[str, str], label: str) -> Line:
    study = row.get("study", "")
    return Line(
        study,
        row.get("ct", ""),
        row.get("mask", ""),
        row.get("patient") or None,
        row.get("category") or None,
        row.get("series") or None,
        _window(row["window"], f"{label}: study {study!r}") if row.get("window") else None,
    )


def _window(text: str, label: str) -> tuple[float, float]:
    numbers = re.fullmatch(r"(-?\d+(?:\.\d+)?)[\s;/]+(\d+(?:\.\d+)?)", text)
    if not numbers or not float(numbers[2]):
        raise UserError(f"{label}: window {text!r} is not centre and width in HU. Write them as in -600 1500.")
    return float(numbers[1]), float(numbers[2])
