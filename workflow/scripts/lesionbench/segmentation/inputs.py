"""Which scans lie in the files and folders that a user gives: volumes, and CT series of DICOM slices as from a PACS."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lesionbench.data.reading import is_dicom, is_scan, scan_stem
from lesionbench.errors import UserError
from lesionbench.files import visible_files

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """A scan to segment; name: of its results' folder; series: UID of the DICOM series in the folder `path`.

    lungs: the folder of the lungs that `found_lungs` has found in it before; None where they are to be found.
    """

    name: str
    path: Path
    series: str | None = None
    lungs: Path | None = None

    def __str__(self) -> str:
        return f"{self.path} (series {self.series})" if self.series else str(self.path)


def find_scans(inputs: Sequence[Path], series: str | None = None) -> list[Scan]:
    """Return the scans in files and folders, each with a name of its own, in the order of the inputs.

    series: UID, number or description of the DICOM series wanted; None for all CT series. What is in a folder and is no
    CT (localizers, dose reports) is told in a warning and left out.

    Raises UserError where an input is not there, or holds no scan.
    """
    found: dict[tuple[Path, str | None], Scan] = {}
    for path in inputs:
        scans = list(_scans_of(path, series))
        if not scans:
            raise UserError(
                f"{path}: there is no scan. Give NIfTI, NRRD or MetaImage files, folders of DICOM slices, or folders "
                "of these."
            )
        for scan in scans:
            found.setdefault((scan.path.resolve(), scan.series), scan)
    return with_names(list(found.values()))


def _scans_of(path: Path, series: str | None) -> Iterator[Scan]:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder. Check the path.")
    if path.is_file():
        if not is_scan(path) and is_dicom(path):
            raise UserError(f"{path}: this is a DICOM file. Give the folder with all slices of its series.")
        yield Scan(scan_stem(path), path)
        return
    files = visible_files(path)
    yield from (Scan(scan_stem(file), file) for file in files if is_scan(file))
    if slices := [file for file in files if not is_scan(file) and is_dicom(file)]:
        yield from _series_of(path, slices, series)


def _series_of(path: Path, slices: Sequence[Path], wanted: str | None) -> Iterator[Scan]:
    from lesionbench.data.dicom import find_series

    scans, others = find_series(slices, wanted)
    if others:
        logger.warning("%s: left out, because it is no CT: %s.", path, others)
    folders = Counter(scan.folder for scan in scans)
    for scan in scans:
        base = scan.folder.resolve().name
        name = base if folders[scan.folder] == 1 else f"{base}_{scan.number or scan.uid.rpartition('.')[2]}"
        yield Scan(name, scan.folder, scan.uid)


def with_names(scans: Sequence[Scan]) -> list[Scan]:
    """Return scans with names that a folder can have; what names share is told apart by folders above, or numbers."""
    names = [re.sub(r"[^\w.-]+", "_", scan.name).strip("._") or "scan" for scan in scans]
    shared = {name for name, count in Counter(map(str.lower, names)).items() if count > 1}
    longer = [
        re.sub(r"[^\w.-]+", "_", f"{scan.path.resolve().parent.name}_{name}") if name.lower() in shared else name
        for scan, name in zip(scans, names, strict=True)
    ]
    taken: Counter[str] = Counter()
    result = []
    for scan, name in zip(scans, longer, strict=True):
        taken[name.lower()] += 1
        number = taken[name.lower()]
        result.append(replace(scan, name=name if number == 1 else f"{name}_{number}"))
    return result
