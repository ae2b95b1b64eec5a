"""The slices of a subset of studies as one small file that stands for them in Snakemake's graph.

Were the files of slices themselves the inputs, 300 trainings on 800 studies would make 240,000 edges, whose look-up
takes most of the time of a dry run.
Needs nothing beyond the standard library.
"""

import csv
import zipfile
from collections.abc import Mapping
from io import StringIO
from os.path import relpath
from pathlib import Path

from lesionbench.errors import UserError
from lesionbench.files import atomic, open_regular, read_bytes

COLUMNS = ("study", "slices", "crc32")


def write_manifest(stacks: Mapping[str, str | Path], path: str | Path) -> None:
    """Write where the slices of each study lie, relative to the manifest, and the CRC-32 of all that they hold.

    The sums stand in a file's directory, so nothing is read but that. They are there for a manifest to change with the
    slices: Snakemake does not make a result again where a small input has new times and its old content.

    Raises UserError, naming the file, where one is missing or damaged.
    """
    folder = Path(path).parent
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((study, relpath(stack, folder), _sums(stack)) for study, stack in stacks.items())


def read_manifest(path: str | Path) -> dict[str, Path]:
    """Return the file of slices of each study of a manifest, in its order.

    Raises UserError, naming the file, where it is missing or damaged.
    """
    path = Path(path)
    try:
        header, *rows = csv.reader(StringIO(read_bytes(path).decode(), newline=""))
        if tuple(header) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        return {study: Path(relpath(path.parent / stack)) for study, stack, _ in rows}
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path}: cannot be read as a list of slices ({error}). Delete it and run the workflow again, which "
            "writes it."
        ) from error


def _sums(stack: str | Path) -> str:
    try:
        with open_regular(stack) as file, zipfile.ZipFile(file) as archive:
            return " ".join(f"{Path(member.filename).stem}={member.CRC:08x}" for member in archive.infolist())
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{stack}: cannot be read as slices ({error}). Delete it and run the workflow again, which rebuilds it."
        ) from error
