"""Tables that users make: a CSV, or an .xlsx, as text.

Imported while Snakemake parses the workflow, so it needs nothing but the standard library; an .xlsx needs openpyxl.
"""

import csv
from pathlib import Path

from lesionbench.errors import UserError
from lesionbench.files import refuse_links_to_nothing


def read_listing(path: str | Path, key: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return the header and the lines of a CSV in UTF-8, or of the first sheet of an .xlsx, empty lines left out.

    Spaces around values, capitals in the header and a byte-order mark do not matter. A line that ends early lacks the
    last columns.

    Raises UserError, naming the configuration's key, where there is no such file or it cannot be read.
    """
    path = Path(path)
    refuse_links_to_nothing([path], key)
    if not path.is_file():
        raise UserError(f"{key}: there is no file {path}. Correct the path, or set it to null.")
    is_sheet = path.suffix.lower() == ".xlsx"
    try:
        lines = _sheet(path) if is_sheet else _csv(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, KeyError) as error:
        kind = "a workbook" if is_sheet else "CSV in UTF-8"
        raise UserError(f"{key}: {path} cannot be read as {kind} ({error}). Save it again.") from None
    filled = [[cell.strip() for cell in line] for line in lines if any(map(str.strip, line))]
    header = [name.lower() for name in filled[0]] if filled else []
    return header, [dict(zip(header, line, strict=False)) for line in filled[1:]]


def _csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file, skipinitialspace=True))


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
