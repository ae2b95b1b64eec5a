"""The studies of a data set, by the names of files alone: where patterns, or a table, say that they lie.

The default patterns are those of MosMedData (Morozov S.P. et al., 2020, arXiv:2005.06465):

    studies/CT-1/study_0255.nii.gz     CT volumes, a folder a class
    masks/study_0255_mask.nii.gz       lesion masks of the annotated studies
    dataset_registry.csv or .xlsx      optional

It is imported while Snakemake parses the workflow and needs nothing beyond the standard library.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any
from unicodedata import normalize

from lesionbench.data.patterns import Found, Pattern, quoted
from lesionbench.data.proposals import nearest
from lesionbench.data.reading import is_nifti
from lesionbench.data.study_table import Line, read_study_table
from lesionbench.errors import UserError
from lesionbench.files import can_be_path, refuse_links_to_nothing
from lesionbench.words import first_few

CATEGORIES = ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")
SUFFIX = ".nii.gz"
MASK_SUFFIX = f"_mask{SUFFIX}"
CT_PATTERN = f"studies/{{category}}/{{study}}{SUFFIX}"
MASK_PATTERN = f"masks/{{study}}{MASK_SUFFIX}"
REGISTRY = "dataset_registry"
LONGEST = 200  # bytes of a study's name: files of results are called by it, with up to 50 more
_NIFTI = re.compile(r"\.nii(\.gz)?\Z", re.IGNORECASE)
_MASK = re.compile(r"_mask\Z", re.IGNORECASE)
# What would be a folder or a hidden file, or what nobody sees.
_NO_NAME = re.compile(r"[/\\\x00-\x1f\x7f]|\A[.\s]|\s\Z|\A\Z")


@dataclass(frozen=True)
class Study:
    """One CT examination of one patient; what is unknown or not there is None.

    A study of an unknown patient is taken for a patient's only one. series: which of several CT series in a DICOM
    folder; set: the hospital, or whatever the data set is put together from.
    """

    name: str
    category: str | None
    ct: Path | None
    mask: Path | None
    patient: str | None = None
    series: str | None = None
    set: str | None = None


@dataclass(frozen=True)
class DataSet:
    """Where the studies of a data set lie: keys of the section `dataset`, of which the schema says what each means.

    key: the section of the configuration, for errors.
    """

    root: str | Path = "data/COVID19_1110"
    ct: str | None = CT_PATTERN
    mask: str | None = MASK_PATTERN
    table: str | Path | None = None
    key: str = "dataset"

    @classmethod
    def of(cls, settings: Mapping[str, Any], key: str = "dataset") -> "DataSet":
        """Return the data set that a section of the resolved configuration describes."""
        return cls(**{name: settings[name] for name in ("root", "ct", "mask", "table")}, key=key)

    @property
    def is_mosmed(self) -> bool:
        """Whether its files lie as MosMedData's do, and with them a registry."""
        return (self.ct, self.mask) == (CT_PATTERN, MASK_PATTERN)


@dataclass(frozen=True)
class Phantom:
    """A synthetic data set: `dataset.phantom` of the configuration; the schema says what each key means."""

    studies: int = 14
    annotated: int = 10
    category: str = "CT-1"
    size: int = 64
    slices: tuple[int, int] = (16, 22)
    seed: int = 0
    graded: bool = False


def find_studies(dataset: DataSet) -> list[Study]:
    """Return the studies of a data set, sorted by name; a study may have a CT, a mask or both.

    Raises UserError, naming the key, where the folder is not there, a pattern matches nothing, two files stand for a
    study, a link leads to nothing, a study's name cannot be the name of a file, or the table does not fit.
    """
    lines, names_files = read_study_table(dataset.table, f"{dataset.key}.table") if dataset.table else ({}, False)
    if names_files:
        studies = [_listed(dataset, line) for line in lines.values()]
    else:
        studies = _find_mosmed(dataset) if dataset.is_mosmed else _find(dataset)
        studies = _completed(dataset, studies, lines) if dataset.table else studies
    _check_names(dataset, studies)
    return sorted(studies, key=lambda study: study.name)


def _find_mosmed(dataset: DataSet) -> list[Study]:
    """Return the studies in MosMedData's layout, where every volume has its place and none is passed over."""
    root = Path(dataset.root)
    masks = _visible(root, "masks/*")
    strays = _visible(root, "studies/*")
    strays += [path for path in _visible(root, "studies/*/*") if path.parent.name not in CATEGORIES]
    strays += [path for path in masks if not _MASK.search(file_stem(path))]
    if strays:
        raise UserError(
            f"{first_few([str(path) for path in strays])}: not where MosMedData's layout has it. CT volumes lie in "
            f"{root}/studies/CT-0 … CT-4, masks are called {root}/masks/STUDY{MASK_SUFFIX} or STUDY_mask.nii. "
            f"Rename or move them, or describe another layout: lesionbench init {root}"
        )
    folders = [root, root / "masks", root / "studies", *(root / "studies" / category for category in CATEGORIES)]
    scans = [path for category in CATEGORIES for path in _visible(root, f"studies/{category}/*")]
    refuse_links_to_nothing([*folders, *_registries(root), *scans, *masks], f"{dataset.key}.root")
    if not scans and not masks:
        raise UserError(_no_dataset(dataset))
    return _paired(
        Pattern(CT_PATTERN, f"{dataset.key}.ct").find(root), Pattern(MASK_PATTERN, f"{dataset.key}.mask").find(root)
    )


def _find(dataset: DataSet) -> list[Study]:
    """Return the studies that the patterns find; patterns without a match are refused."""
    root = Path(dataset.root)
    refuse_links_to_nothing([root], f"{dataset.key}.root")
    if not root.is_dir():
        raise UserError(f"{dataset.key}.root: there is no folder {root}. Correct the path.")
    found = []
    for kind, text in (("ct", dataset.ct), ("mask", dataset.mask)):
        found.append(Pattern(text, f"{dataset.key}.{kind}").find(root) if text else [])
        if text and not found[-1]:
            raise UserError(_no_match(dataset, kind, text))
    if not any(found):
        raise UserError(f"{dataset.key}: ct and mask are null, so there are no studies. Set at least one of them.")
    return _paired(*found)


def _no_match(dataset: DataSet, kind: str, text: str) -> str:
    """Say that a pattern matches nothing, with the nearest files that there are, and a pattern for them."""
    label = f"{dataset.key}.{kind}: nothing below {dataset.root} is called {text}."
    near = nearest(dataset.root, text)
    if near is None:
        return f"{label} There is no volume at all. Correct {dataset.key}.root, or unpack the data set there."
    files = first_few([found.path.relative_to(dataset.root).as_posix() for found in near.found], 3)
    nothing = f"Or, if there are no {'CTs' if kind == 'ct' else 'masks'}, write {kind}: null."
    return f"{label} The nearest are {files}, which this would find:\n  {kind}: {quoted(near.pattern)}\n{nothing}"


def _paired(cts: Sequence[Found], masks: Sequence[Found]) -> list[Study]:
    """Return the studies that files make; their names are a set's or a patient's own where both patterns know it.

    Raises UserError where two files of a kind stand for one study.
    """
    owners = [name for name in ("set", "patient") if all(getattr(found, name) for found in (*cts, *masks))]
    ct_of, mask_of = (_by_study(found, owners) for found in (cts, masks))
    studies = []
    for key in {**ct_of, **mask_of}:
        ct, mask = ct_of.get(key), mask_of.get(key)
        either = [found for found in (ct, mask) if found]
        patient, category, whole = (
            next((getattr(found, wanted) for found in either if getattr(found, wanted)), None)
            for wanted in ("patient", "category", "set")
        )
        name = key[-1]
        for owner in (patient, whole if "set" in owners else None):
            name = f"{owner}_{name}" if owner and not name.startswith(owner) else name
        studies.append(Study(name, category, ct and ct.path, mask and mask.path, patient, set=whole))
    return studies


def _by_study(files: Sequence[Found], owners: Sequence[str]) -> dict[tuple[str, ...], Found]:
    found: dict[tuple[str, ...], Found] = {}
    for file in files:
        other = found.setdefault((*(getattr(file, owner) for owner in owners), file.study), file)
        if other.category != file.category:
            raise UserError(f"{other.path} and {file.path}: a study has one class. Remove the wrong copy.")
        _check_single([other.path, file.path])
    return found


def _listed(dataset: DataSet, line: Line) -> Study:
    """Return the study of a line of a table that names files."""
    label = f"{dataset.key}.table: {dataset.table}: study {line.study!r}"
    ct, mask = (_resolve(dataset, label, kind, getattr(line, kind)) for kind in ("ct", "mask"))
    if not ct and not mask:
        raise UserError(f"{label} has neither a CT nor a mask. Fill in ct or mask, or remove the line.")
    return Study(line.study, line.category, ct, mask, line.patient, line.series, line.set)


def _resolve(dataset: DataSet, label: str, kind: str, text: str) -> Path | None:
    """Return the file that a cell names, below the data set's root or else beside the table."""
    if not text:
        return None
    if not can_be_path(text):
        raise UserError(
            f"{label}: its {kind} cannot be the name of a file: {shorten(ascii(text), 60, placeholder='…')}."
        )
    places = [Path(folder, text) for folder in (dataset.root, Path(str(dataset.table)).parent)]
    refuse_links_to_nothing(places, f"{dataset.key}.table")
    found = next((path for path in places if path.exists()), None)
    if found is None:
        raise UserError(
            f"{label}: its {kind} is not there: {' nor '.join(map(str, dict.fromkeys(places)))}. Write the path as it "
            f"is below {dataset.key}.root ({dataset.root}) or below the folder of the table."
        )
    return found


def _completed(dataset: DataSet, studies: Sequence[Study], lines: Mapping[str, Line]) -> list[Study]:
    """Return the studies that the patterns find, with what the table's lines say of them."""
    missing = sorted(study.name for study in studies if study.name not in lines)
    if missing:
        raise UserError(
            f"{dataset.key}.table: {dataset.table} has no line for {first_few(missing)}, which the patterns find. Its "
            f"studies are called {first_few(sorted(lines)) or 'nothing'}. Add a line for each, or correct the names."
        )
    completed = []
    for study in studies:
        line = lines[study.name]
        patient, category = line.patient or study.patient, line.category or study.category
        whole = line.set or study.set
        completed.append(replace(study, patient=patient, category=category, series=line.series, set=whole))
    return completed


def _check_names(dataset: DataSet, studies: Sequence[Study]) -> None:
    """Refuse names that no file can have on every system, and two studies of one name or one CT."""
    label = f"{dataset.key}.table: {dataset.table}" if dataset.table else f"{dataset.key}.root: {dataset.root}"
    bad = [study.name for study in studies if _NO_NAME.search(study.name) or len(study.name.encode()) > LONGEST]
    if bad:
        raise UserError(
            f"{label}: {first_few([repr(name) for name in bad])}: no name of a study, because files of results are "
            f"called by it. It has 1 to {LONGEST} bytes, does not begin with a dot, has no space at either end, and "
            "holds no / \\ or control characters. Rename these studies, or give them other names in a table "
            "(dataset.table)."
        )
    by_name: dict[str, Study] = {}
    by_ct: dict[Path, Study] = {}
    for study in studies:
        other = by_name.setdefault(study.name.casefold(), study)
        if other is not study:
            raise UserError(
                f"{label}: the studies {other.name} ({other.ct or other.mask}) and {study.name} "
                f"({study.ct or study.mask}) would write to the same files of results, where capitals do not count. "
                "Rename one of them, or remove the wrong one."
            )
        if study.ct and (other := by_ct.setdefault(study.ct, study)) is not study:
            raise UserError(f"{label}: {other.name} and {study.name} have the same CT, {study.ct}. Correct one.")


def with_files(known: Iterable[Sequence[Any]], cts: Iterable[str], masks: Iterable[str]) -> list[Study]:
    """Return studies of which name, category, patient, series, set, and whether there are a CT and a mask, is known."""
    ct, mask = iter(cts), iter(masks)
    return [
        Study(name, category, Path(next(ct)) if has_ct else None, Path(next(mask)) if has_mask else None, *ids)
        for name, category, *ids, has_ct, has_mask in known
    ]


def file_stem(path: str | Path) -> str:
    """Return the name of a file, composed (NFC), without folders and NIfTI's suffix: for a CT, its study."""
    return _NIFTI.sub("", normalize("NFC", Path(path).name))


def mask_stem(path: str | Path) -> str:
    """Return the study of a mask: `file_stem` without `_mask`."""
    return _MASK.sub("", file_stem(path))


def find_predictions(folder: str | Path, studies: Iterable[str]) -> dict[str, Path]:
    """Return each study's mask in a folder: named as the study or, as MosMedData's masks are, with `_mask`.

    A path is STUDY.nii.gz where there is neither. The folder is listed once, because it may hold a thousand files.
    Raises UserError where a study has two files of a kind, such as STUDY.nii and STUDY.nii.gz.
    """
    plain: dict[str, list[Path]] = {}
    as_reference: dict[str, list[Path]] = {}
    for path in _visible(Path(folder), "*"):
        stem = file_stem(path)
        plain.setdefault(stem, []).append(path)
        if _MASK.search(stem):
            as_reference.setdefault(_MASK.sub("", stem), []).append(path)
    found = {}
    for study in studies:
        files = plain.get(study) or as_reference.get(study) or [Path(folder, study + SUFFIX)]
        _check_single(files)
        found[study] = files[0]
    return found


def find_prediction(folder: str | Path, study: str) -> Path:
    """Return one study's mask as `find_predictions` does."""
    return find_predictions(folder, [study])[study]


def find_registry(root: str | Path) -> Path | None:
    """Return MosMedData's list of studies and classes, or None where there is none."""
    return next((path for path in _registries(Path(root)) if path.is_file()), None)


def _registries(root: Path) -> list[Path]:
    return [root / (REGISTRY + suffix) for suffix in (".csv", ".xlsx")]


def phantom_studies(root: str | Path, phantom: Phantom) -> list[Study]:
    """Return the studies that the rule `phantom` writes below `root`, sorted by name.

    `phantom` is the `dataset.phantom` of the config. The annotated studies are of its `category`, by default of CT-1 as
    MosMedData's are; the others cycle through all classes.
    """
    root = Path(root)
    count, annotated = phantom.studies, phantom.annotated
    if annotated > count:
        raise UserError(
            f"dataset.phantom: annotated ({annotated}) is more than studies ({count}). Lower it, or raise studies."
        )
    fewest, most = phantom.slices
    if fewest > most:
        raise UserError(f"dataset.phantom: slices [{fewest}, {most}] are fewest and most. Write [{most}, {fewest}].")
    studies = []
    for number in range(1, count + 1):
        name = f"study_{number:04d}"
        has_mask = number <= annotated
        in_turn = ("CT-0", "CT-2", "CT-3", "CT-4", "CT-1")[(number - annotated - 1) % 5]
        category = phantom.category if has_mask else in_turn
        ct = root / "studies" / category / f"{name}{SUFFIX}"
        mask = root / "masks" / f"{name}{MASK_SUFFIX}" if has_mask else None
        studies.append(Study(name, category, ct, mask))
    return studies


def _visible(root: Path, pattern: str) -> list[Path]:
    """Return the matching NIfTI files less hidden ones, such as macOS's `._*` and files being written."""
    return sorted(path for path in root.glob(pattern) if is_nifti(path) and not path.name.startswith("."))


def _check_single(paths: list[Path]) -> None:
    """Raise UserError where different files stand for one study."""
    if len(set(paths)) > 1:
        raise UserError(f"{' and '.join(map(str, paths))}: two files for one study. Remove the wrong one.")


def _no_dataset(dataset: DataSet) -> str:
    root = Path(dataset.root)
    nested = next((path.parent for path in sorted(root.glob("*/studies"))), None)
    hint = f"\nThere is one in {nested}: set {dataset.key}.root to that folder." if nested else ""
    problem = "has neither studies nor masks" if root.is_dir() else "does not exist"
    return (
        f"No data set: the folder {root} ({dataset.key}.root in the config) {problem}.{hint}\n"
        f"MosMedData is at https://mosmed.ai/datasets/covid19_1110. Unpack it so that there are\n"
        f"    {root}/studies/CT-1/study_0255.nii.gz       and so on, in class folders CT-0 … CT-4\n"
        f"    {root}/masks/study_0255_mask.nii.gz         and so on; .nii and capital letters (.NII.GZ) are read too\n"
        f"    {root}/dataset_registry.xlsx                or .csv; optional\n"
        f"or set {dataset.key}.root to where it lies. To try the workflow on synthetic scans instead: make demo\n"
        f"For a data set of another layout, this prints the lines for the config: lesionbench init {root}"
    )
