"""Tables that users make: a CSV, or an .xlsx, as text.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library; an .xlsx needs openpyxl.
"""

import csv
from collections.abc import Collection
from io import StringIO
from pathlib import Path
from unicodedata import normalize

from lesionbench.errors import UserError
from lesionbench.files import refuse_links_to_nothing

_SEPARATORS = ",;\t|"
_TITLE_LINES = 20  # among which the header may be


def read_listing(path: str | Path, key: str, needed: Collection[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Return the header and the lines of a CSV, or of the first sheet of an .xlsx, empty lines left out.

    The header is the first line that has the columns `needed`; what stands above it, such as a title, is left out. In
    a CSV, cells are separated by commas, semicolons, tabs or upright bars, whichever gives such a line. Where there is
    none, the first line is returned as the header. Spaces around values, capitals in the header and a byte-order mark
    do not matter. A line that ends early lacks the last columns. A CSV in another encoding than UTF-8 is taken for
    Latin-1 where that cannot change the columns `needed`.

    Raises UserError, naming the configuration's key, where there is no such file or it cannot be read.
    """
    path = Path(path)
    refuse_links_to_nothing([path], key)
    if not path.is_file():
        raise UserError(f"{key}: there is no file {path}. Correct the path, or set it to null.")
    is_sheet = path.suffix.lower() == ".xlsx"
    try:
        lines = _find_header([_sheet(path)], needed) if is_sheet else _csv(path, needed)
        header = [name.lower() for name in lines[0]] if lines else []
        for line in lines[1:]:
            if any(line[len(header) :]):
                raise ValueError(f"the line of {line[0]} has more cells than the header, {len(line)} for {len(header)}")
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, KeyError) as error:
        kind = "a workbook" if is_sheet else "CSV in UTF-8"
        raise UserError(f"{key}: {path} cannot be read as {kind} ({error}). Save it again.") from None
    rows = [dict(zip(header, line, strict=False)) for line in lines[1:]]
    # As `data.patterns` has the names of studies.
    return header, [row | {name: normalize("NFC", row[name]) for name in needed if name in row} for row in rows]


def _find_header(readings: list[list[list[str]]], needed: Collection[str]) -> list[list[str]]:
    """Return the lines from the header on, of the first reading of the file that has one; else all of the first."""
    filled = [[[cell.strip() for cell in line] for line in lines if any(map(str.strip, line))] for lines in readings]
    for lines in filled:
        for number, line in enumerate(lines[:_TITLE_LINES]):
            if set(needed) <= {name.lower() for name in line}:
                return lines[number:]
    return filled[0]


def _csv(path: Path, needed: Collection[str]) -> list[list[str]]:
    data = path.read_bytes()
    try:
        text, foreign = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"), None
    except UnicodeDecodeError as error:
        text, foreign = data.decode("latin-1"), error
    readings = [csv.reader(StringIO(text, newline=""), delimiter=mark, skipinitialspace=True) for mark in _SEPARATORS]
    lines = _find_header([list(reading) for reading in readings], needed)
    if foreign:
        header = [name.lower() for name in lines[0]]
        cells = [cell for line in lines[1:] for name, cell in zip(header, line, strict=False) if name in needed]
        if not set(needed) <= set(header) or not all(map(str.isascii, cells)):
            raise foreign
    return lines


def _sheet(path: Path) -> list[list[str]]:
    """Return the cells as they are shown: a whole number without decimals, an empty cell as nothing."""
    from zipfile import BadZipFile

    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except BadZipFile as error:
        raise ValueError(str(error)) from None
    rows = [[_text(cell) for cell in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    book.close()
    return rows


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)
