"""A user's table of studies (`dataset.table`): a line a study, where its files lie and what is known of it.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lesionbench.data.listing import read_listing
from lesionbench.errors import UserError
from lesionbench.words import first_few

COLUMNS = ("study", "ct", "mask", "patient", "category", "series", "set")


@dataclass(frozen=True)
class Line:
    """A line of the table: paths as they are written, "" where there is none; what else is known of the study."""

    study: str
    ct: str = ""
    mask: str = ""
    patient: str | None = None
    category: str | None = None
    series: str | None = None
    set: str | None = None


def read_study_table(path: str | Path, key: str) -> tuple[dict[str, Line], bool]:
    """Return the lines by study, and whether the table names files: it has a column ct or mask.

    Raises UserError, naming the configuration's key, where it cannot be read, lacks the column study, a column is
    almost called as one that counts, or a study has two lines.
    """
    header, rows = read_listing(path, key, ["study"])
    label = f"{key}: {path}"
    _check_columns(label, header)
    counts = Counter(row["study"] for row in rows if "study" in row)
    if twice := [study for study, count in counts.items() if count > 1]:
        raise UserError(f"{label}: several lines are of {first_few(twice)}. A study has one line: remove the others.")
    known = ("patient", "category", "series", "set")
    lines = {
        study: Line(study, row.get("ct", ""), row.get("mask", ""), **{name: row.get(name) or None for name in known})
        for row in rows
        for study in [row.get("study", "")]
    }
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
