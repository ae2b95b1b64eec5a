"""Tables that users make: a CSV, or an .xlsx, as text.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library; an .xlsx needs openpyxl.
"""

import csv
import re
from collections.abc import Collection
from contextlib import closing
from io import BytesIO, StringIO
from pathlib import Path
from unicodedata import normalize
from zipfile import ZipFile

from lesionbench.errors import UserError
from lesionbench.files import read_bytes, refuse_links_to_nothing

_SEPARATORS = ",;\t|"
_LARGEST_WORKBOOK = 2**28  # bytes, unpacked
_MOST_CELLS = 5_000_000
# A sheet ends at XFD1048576.
_OUTSIDE = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{4,}\d*|[A-Za-z]*\d{8,})["']""")
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
    except (OSError, csv.Error, ValueError) as error:
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
    data = read_bytes(path)
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
    """Return the cells as they are shown: a whole number without decimals, an empty cell as nothing.

    Empty lines are left out while it is read: of a single cell at the far end of a sheet, openpyxl makes 17 billion.
    """
    from openpyxl import load_workbook

    content = read_bytes(path)
    try:
        _check_workbook(content)
        with closing(load_workbook(BytesIO(content), read_only=True, data_only=True)) as book:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()
            rows, looked_at = [], 0
            for row in sheet.iter_rows(values_only=True):
                looked_at += 1 + len(row)
                if looked_at > _MOST_CELLS:
                    raise ValueError(f"its first sheet has more than {_MOST_CELLS:,} cells")
                cells = [_text(cell) for cell in row]
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    rows.append(cells)
    except Exception as error:  # whatever openpyxl and its readers of XML raise for what is no workbook
        raise ValueError(str(error) or type(error).__name__) from error
    width = max(map(len, rows), default=0)
    if width * len(rows) > _MOST_CELLS:
        raise ValueError(f"its first sheet has {len(rows):,} lines of up to {width:,} cells")
    return [row + [""] * (width - len(row)) for row in rows]


def _check_workbook(content: bytes) -> None:
    """Raise ValueError where a workbook claims to be larger than any table, or has cells where no sheet has."""
    with ZipFile(BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > _LARGEST_WORKBOOK:
            raise ValueError(f"it claims {size:,} bytes, unpacked")
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and (place := _OUTSIDE.search(archive.read(name))):
                raise ValueError(f"it has a cell at {place[1].decode()}, where no sheet has one")


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)
