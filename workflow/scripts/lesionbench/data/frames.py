"""The project's own tables in files, typed by column; those of users are read by `data.listing`.

pandas guesses what a column is from what it holds: studies called 001 and 002 become the numbers 1 and 2, and a model
called NA is missing. Names are text, whatever they look like, so nothing else reads or writes a frame.
"""

from pathlib import Path

import pandas as pd

from lesionbench.errors import UserError
from lesionbench.files import atomic, open_regular

# The columns of words in all tables that are read back; every other column is numbers.
TEXT = [
    "study", "category", "patient", "ct", "mask", "shape", "spacing_mm", "orientation", "ct_sha256", "mask_sha256",
    "subset", "model", "label", "set", "by", "group", "severity", "kind", "file", "what", "remedy", "sweep",
    "chosen", "best", "around", "curve", "key", "checklist", "item", "topic", "known", "authors",
    "scan", "path", "series", "failure", "warning", "warnings",
]  # fmt: skip


def read_frame(path: str | Path) -> pd.DataFrame:
    """Return a CSV of `write_frame`: the columns TEXT as text, all others as numbers, where an empty cell is NaN.

    Raises UserError, naming the file, where it is missing or damaged.
    """
    try:
        with open_regular(path) as file:
            frame = pd.read_csv(file, dtype=str, na_filter=False)
        # Of lines longer than the header pandas would make the first cells the index, and so shift all others.
        if not isinstance(frame.index, pd.RangeIndex):
            raise ValueError("its lines have more cells than its header")
        for name in frame.columns.difference(TEXT):
            frame[name] = _to_numbers(frame[name])
    except (ValueError, KeyError, OSError) as error:
        raise UserError(
            f"{path}: cannot be read as a table ({error}). Delete it and run the workflow again, which rebuilds it."
        ) from None
    return frame


def write_frame(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a frame as CSV at full precision, without its index; what is missing is an empty cell."""
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def _to_numbers(column: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(column.where(column != ""))
    except ValueError:
        wrong = next(cell for cell in column if cell and pd.isna(pd.to_numeric(cell, errors="coerce")))
        raise ValueError(f"the column {column.name} holds {wrong!r}, which is no number") from None
