"""Sets of scans that finished runs segment, divided into parts, a job each.

Imported while Snakemake parses, so it needs nothing beyond the standard library.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lesionbench.data.reading import is_dicom, is_scan, scan_stem
from lesionbench.data.split import Fold
from lesionbench.data.studies import CATEGORIES, DataSet, Study
from lesionbench.data.study_table import read_study_table
from lesionbench.errors import UserError
from lesionbench.experiment.collection import Collection
from lesionbench.experiment.rows import Row
from lesionbench.files import refuse_links_to_nothing
from lesionbench.segmentation.inputs import Scan, with_names
from lesionbench.words import first_few, listed

SEVERITY, SEGMENTED = "severity", "segmented"  # the names of the two sets that there may be, in paths


@dataclass(frozen=True)
class ScanSet(Collection):
    """Scans to segment: `studies`, of which only the CTs count.

    folds: by study, whose networks segment it; size: about how many scans a part has.
    """

    folds: Mapping[str, tuple[int, ...]]
    size: int

    @cached_property
    def classes(self) -> dict[str, str | None]:
        """The class of each study."""
        return {name: study.category for name, study in self.studies.items()}

    @cached_property
    def patients(self) -> dict[str, str]:
        """The patient of each study, with a mask or without."""
        return {name: study.patient or name for name, study in self.studies.items()}

    @cached_property
    def parts(self) -> dict[str, list[str]]:
        """The studies of each part, by its name: studies of the same folds, divided by a hash of their names.

        A study that is added changes its own part only, unless there have to be twice as many parts.
        """
        groups: dict[tuple[int, ...], list[str]] = {}
        for study in sorted(self.studies):
            groups.setdefault(self.folds[study], []).append(study)
        everywhere = {fold for folds in groups for fold in folds}
        parts: dict[str, list[str]] = {}
        for folds, studies in groups.items():
            label = "part" if set(folds) == everywhere else f"part-of-fold-{'-'.join(map(str, folds))}"
            for study in studies:
                parts.setdefault(f"{label}-{_place(study, len(studies), self.size)}", []).append(study)
        return parts

    def reading(self) -> dict[str, Any]:
        """Return how all CTs are read; `part_series` has what is a scan's own."""
        return {**super().reading(), "lesion_labels": None, "series": None}

    def part_folds(self, part: str) -> tuple[int, ...]:
        """Return the folds whose networks segment a part."""
        return self.folds[self.parts[part][0]]

    def part_scans(self, part: str) -> list[str]:
        """Return the CTs of a part."""
        return [self.ct(study) for study in self.parts[part]]

    def part_series(self, part: str) -> list[list[str | None]]:
        """Return name and DICOM series of each scan of a part."""
        return [[study, self.studies[study].series or self.section["series"]] for study in self.parts[part]]

    def part_content(self, part: str) -> list[str]:
        """Return what changes with the content of a part's CTs."""
        return self.contents(self.part_scans(part))


def _place(study: str, studies: int, size: int) -> int:
    """Return the number of the part that a study falls to, of a power of two of parts."""
    parts = 1
    while studies > parts * size:
        parts *= 2
    return int(hashlib.sha256(study.encode()).hexdigest(), 16) % parts


def unseen_studies(data: Collection, folds: Iterable[Fold], size: int) -> ScanSet:
    """Return the studies of a data set with a CT and a class of CATEGORIES whose patients some fold has not seen.

    A fold has seen the patients of its training and of its validation studies. Raises UserError where no two classes
    are left to compare with.
    """
    graded = [study for study in data.studies.values() if study.ct and study.category in CATEGORIES]
    known = {study.category for study in data.studies.values() if study.category}
    if not graded:
        raise UserError(
            f"severity: no study of the data set has a CT and one of the classes {listed(CATEGORIES)}; its classes "
            f"are: {first_few(sorted(known)) or 'none'}. Give them as {{category}} in dataset.ct, or in a column "
            "category of dataset.table."
        )
    patients = {study.name: study.patient or study.name for study in data.studies.values()}
    seen = {fold.index: {patients[study] for study in (*fold.train, *fold.validation)} for fold in folds}
    unseen = {
        study.name: tuple(fold for fold, by in seen.items() if patients[study.name] not in by) for study in graded
    }
    studies = {study.name: study for study in graded if unseen[study.name]}
    left = sorted({str(study.category) for study in studies.values()})
    if len(left) < 2:
        raise UserError(
            f"severity: of the {len(graded)} studies with a class, those that no training has seen are all of "
            f"{left[0] if left else 'none'}, and at least two classes are compared. Add studies of other classes; they "
            "need no mask."
        )
    return ScanSet(data.dataset, studies, data.section, {study: unseen[study] for study in studies}, size)


def given_scans(path: str, section: Mapping[str, Any], folds: Iterable[int], size: int) -> ScanSet:
    """Return the scans of `segment.scans`, a folder or a table.

    section: of the data set, as whose CTs they are read. Raises UserError where there are none, or a line is wrong.
    """
    found = _of_folder(Path(path)) if Path(path).is_dir() else _of_table(path)
    scans = {scan.name: Study(scan.name, None, scan.path, None, series=scan.series) for scan in found}
    own = {key: section[key] for key in ("intensity", "geometry", "lesion_labels")} | {"series": None}
    return ScanSet(DataSet(path, key="segment.scans"), scans, own, dict.fromkeys(scans, tuple(folds)), size)


def _of_folder(root: Path) -> list[Scan]:
    """Return the scans below a folder; one that holds DICOM slices and no other volume is a scan."""
    found = []
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        visible = sorted(name for name in files if not name.startswith("."))
        scans = [Path(folder, name) for name in visible if is_scan(name)]
        if not scans and visible and any(is_dicom(Path(folder, name)) for name in visible[:3]):
            scans = [Path(folder)]
        found += [Scan(scan_stem(scan if scan.name else scan.resolve()), scan) for scan in scans]
    refuse_links_to_nothing([scan.path for scan in found], "segment.scans")
    if not found:
        raise UserError(
            f"segment.scans: there is no scan below {root}. Put NIfTI, NRRD or MetaImage files or folders of DICOM "
            "slices there, or write:\n  segment: {scans: null}"
        )
    return with_names(found)


def _of_table(path: str) -> list[Scan]:
    """Return the scans of a table, whose paths are below its folder or the working directory."""
    lines, names_files = read_study_table(path, "segment.scans")
    without = [line.study for line in lines.values() if not line.ct]
    if not names_files or without or not lines:
        what = f"no ct is given for {first_few(without)}" if without else "it names no CTs"
        raise UserError(f"segment.scans: {path}: {what}. Fill in the column ct, the path of each scan.")
    scans = []
    for line in lines.values():
        places = [Path(path).parent / line.ct, Path(line.ct)]
        ct = next((place for place in places if place.exists()), None)
        if ct is None:
            raise UserError(
                f"segment.scans: {path}: study {line.study!r}: its ct is not there: "
                f"{' nor '.join(map(str, dict.fromkeys(places)))}. Write the path as it is below the folder of the "
                "table or the working directory."
            )
        scans.append(Scan(line.study, ct, line.series))
    return with_names(scans)


def check_segmenting(section: Mapping[str, Any], rows: Mapping[str, Row]) -> None:
    """Refuse models of `segment` that cannot segment, and scans where none can.

    Raises UserError, naming the key, with a line that would be right.
    """
    able = [model for model, row in rows.items() if row.can_segment]
    what = "Networks that are trained here, and ensembles of them, segment further scans"
    for name in section["models"] or ():
        if name not in able:
            why = "has no network that could segment" if name in rows else "is not in `compare`"
            line = f"models: [{', '.join(able)}]" if able else "models: null"
            raise UserError(f"segment.models: {name} {why}. {what}. Write, for example:\n  segment: {{{line}}}")
    if section["scans"] and not able:
        raise UserError(
            f"segment.scans: no model of `compare` can segment them. {what}. Compare one, or write:\n"
            "  segment: {scans: null}"
        )
