"""The studies of a data set in MosMedData's layout (Morozov S.P. et al., 2020, arXiv:2005.06465), by file names alone.

    studies/CT-1/study_0255.nii.gz     CT volumes, a folder a class
    masks/study_0255_mask.nii.gz       lesion masks of the annotated studies
    dataset_registry.csv or .xlsx      optional

A volume may also be unpacked (.nii), and its suffix in any case of letters (.NII.GZ).
It is imported while Snakemake parses the workflow and needs nothing beyond the standard library.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lesionbench.errors import UserError
from lesionbench.files import refuse_links_to_nothing
from lesionbench.words import first_few

CATEGORIES = ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")
SUFFIX = ".nii.gz"
MASK_SUFFIX = f"_mask{SUFFIX}"
REGISTRY = "dataset_registry"
_NIFTI = re.compile(r"\.nii(\.gz)?\Z", re.IGNORECASE)
_MASK = re.compile(r"_mask\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Study:
    """One CT examination of one patient; what is unknown or not there is None.

    A study of an unknown patient is taken for a patient's only one.
    """

    name: str
    category: str | None
    ct: Path | None
    mask: Path | None
    patient: str | None = None


@dataclass(frozen=True)
class Phantom:
    """A synthetic data set: `dataset.phantom` of the configuration; the schema says what each key means."""

    studies: int = 14
    annotated: int = 10
    category: str = "CT-1"
    size: int = 64
    slices: tuple[int, int] = (16, 22)
    seed: int = 0


def find_studies(root: str | Path) -> list[Study]:
    """Return the studies below `root`, sorted by name; a study may have a CT, a mask or both.

    Raises UserError where there is no data set, a study lies in two class folders, a file is not where the layout has
    it, or a link leads to nothing.
    """
    root = Path(root)
    scans = _visible(root, "studies/*/*")
    masks = _visible(root, "masks/*")
    strays = _visible(root, "studies/*")
    strays += [path for path in scans if path.parent.name not in CATEGORIES]
    strays += [path for path in masks if not _MASK.search(file_stem(path))]
    if strays:
        raise UserError(
            f"{first_few([str(path) for path in strays])}: not where MosMedData's layout has it. CT volumes lie in "
            f"{root}/studies/CT-0 … CT-4, masks are called {root}/masks/STUDY{MASK_SUFFIX} or STUDY_mask.nii. "
            "Rename or move them."
        )
    folders = [root, root / "masks", root / "studies", *(root / "studies" / category for category in CATEGORIES)]
    refuse_links_to_nothing([*folders, *_registries(root), *scans, *masks], "dataset.root")
    if not scans and not masks:
        raise UserError(_no_dataset(root))
    return pair_studies(scans, masks)


def pair_studies(scans: Iterable[str | Path], masks: Iterable[str | Path]) -> list[Study]:
    """Return the studies that these files make, sorted by name; a CT's folder is its class.

    Raises UserError where two CTs or two masks are of one name.
    """
    ct_by_name: dict[str, Path] = {}
    for path in map(Path, scans):
        other = ct_by_name.setdefault(file_stem(path), path)
        if other.parent != path.parent:
            raise UserError(f"{other} and {path}: a study has one class. Remove the wrong copy.")
        _check_single([other, path])
    mask_by_name: dict[str, Path] = {}
    for path in map(Path, masks):
        _check_single([mask_by_name.setdefault(mask_stem(path), path), path])
    return [
        Study(name, ct.parent.name if (ct := ct_by_name.get(name)) else None, ct, mask_by_name.get(name))
        for name in sorted({*ct_by_name, *mask_by_name})
    ]


def is_nifti(path: str | Path) -> bool:
    """Say by its name whether a file is NIfTI: `.nii` or `.nii.gz`, in any case of letters."""
    return bool(_NIFTI.search(Path(path).name))


def file_stem(path: str | Path) -> str:
    """Return the name of a file without folders and NIfTI's suffix: for a CT, its study."""
    return _NIFTI.sub("", Path(path).name)


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
    """Return the data set's list of studies and classes, or None where there is none."""
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


def _no_dataset(root: Path) -> str:
    nested = next((path.parent for path in sorted(root.glob("*/studies"))), None)
    hint = f"\nThere is one in {nested}: set dataset.root to that folder." if nested else ""
    problem = "has neither studies nor masks" if root.is_dir() else "does not exist"
    return (
        f"No data set: the folder {root} (dataset.root in the config) {problem}.{hint}\n"
        f"MosMedData is at https://mosmed.ai/datasets/covid19_1110. Unpack it so that there are\n"
        f"    {root}/studies/CT-1/study_0255.nii.gz       and so on, in class folders CT-0 … CT-4\n"
        f"    {root}/masks/study_0255_mask.nii.gz         and so on; .nii and capital letters (.NII.GZ) are read too\n"
        f"    {root}/dataset_registry.xlsx                or .csv; optional\n"
        "or set dataset.root to where it lies. To try the workflow on synthetic scans instead: make demo"
    )
