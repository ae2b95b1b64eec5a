"""The studies of a data set in MosMedData's layout (Morozov S.P. et al., 2020, arXiv:2005.06465), by file names alone.

    studies/CT-1/study_0255.nii.gz     CT volumes, a folder a class
    masks/study_0255_mask.nii.gz       lesion masks of the annotated studies
    dataset_registry.csv or .xlsx      optional

It is imported while Snakemake parses the workflow and needs nothing beyond the standard library.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lesionbench.errors import UserError

CATEGORIES = ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")
SUFFIX = ".nii.gz"
MASK_SUFFIX = f"_mask{SUFFIX}"
REGISTRY = "dataset_registry"


@dataclass(frozen=True)
class Study:
    """One CT examination of one patient; what is unknown or not there is None."""

    name: str
    category: str | None
    ct: Path | None
    mask: Path | None


def find_studies(root: str | Path) -> list[Study]:
    """Return the studies below `root`, sorted by name; a study may have a CT, a mask or both.

    Raises UserError where there is no data set, a study lies in two class folders, or a file is not where the layout
    has it.
    """
    root = Path(root)
    scans = _visible(root, f"studies/*/*{SUFFIX}")
    masks = _visible(root, f"masks/*{SUFFIX}")
    strays = _visible(root, f"studies/*{SUFFIX}")
    strays += [path for path in scans if path.parent.name not in CATEGORIES]
    strays += [path for path in masks if not path.name.endswith(MASK_SUFFIX)]
    if strays:
        raise UserError(
            f"{_enumerate(strays)}: not where MosMedData's layout has it. CT volumes lie in "
            f"{root}/studies/CT-0 … CT-4, masks are called {root}/masks/STUDY{MASK_SUFFIX}. Rename or move them."
        )
    if not scans and not masks:
        raise UserError(_no_dataset(root))
    return pair_studies(scans, masks)


def pair_studies(scans: Iterable[str | Path], masks: Iterable[str | Path]) -> list[Study]:
    """Return the studies that these files make, sorted by name; a CT's folder is its class.

    Raises UserError where two CTs are of one name.
    """
    ct_by_name: dict[str, Path] = {}
    for path in map(Path, scans):
        other = ct_by_name.setdefault(path.name.removesuffix(SUFFIX), path)
        if other != path:
            raise UserError(f"{other} and {path}: a study has one class. Remove the wrong copy.")
    mask_by_name = {path.name.removesuffix(MASK_SUFFIX): path for path in map(Path, masks)}
    return [
        Study(name, ct.parent.name if (ct := ct_by_name.get(name)) else None, ct, mask_by_name.get(name))
        for name in sorted({*ct_by_name, *mask_by_name})
    ]


def find_prediction(folder: str | Path, study: str) -> Path:
    """Return a study's mask in a folder of predictions: named as the study or, as MosMedData's masks are, with `_mask`.

    It is the first name where there is neither.
    """
    plain, as_reference = Path(folder, study + SUFFIX), Path(folder, study + MASK_SUFFIX)
    return as_reference if as_reference.is_file() and not plain.is_file() else plain


def find_registry(root: str | Path) -> Path | None:
    """Return the data set's list of studies and classes, or None where there is none."""
    return next((path for suffix in (".csv", ".xlsx") if (path := Path(root, REGISTRY + suffix)).is_file()), None)


def phantom_studies(root: str | Path, phantom: Mapping) -> list[Study]:
    """Return the studies that the rule `phantom` writes below `root`, sorted by name.

    `phantom` is the `dataset.phantom` of the config. The annotated studies are of its `category`, by default of CT-1 as
    MosMedData's are; the others take turns through all classes.
    """
    root = Path(root)
    count, annotated = phantom["studies"], phantom["annotated"]
    if annotated > count:
        raise UserError(
            f"dataset.phantom: annotated ({annotated}) is more than studies ({count}). Lower it, or raise studies."
        )
    fewest, most = phantom["slices"]
    if fewest > most:
        raise UserError(f"dataset.phantom: slices [{fewest}, {most}] are fewest and most. Write [{most}, {fewest}].")
    studies = []
    for number in range(1, count + 1):
        name = f"study_{number:04d}"
        has_mask = number <= annotated
        in_turn = ("CT-0", "CT-2", "CT-3", "CT-4", "CT-1")[(number - annotated - 1) % 5]
        category = phantom.get("category", "CT-1") if has_mask else in_turn
        ct = root / "studies" / category / f"{name}{SUFFIX}"
        mask = root / "masks" / f"{name}{MASK_SUFFIX}" if has_mask else None
        studies.append(Study(name, category, ct, mask))
    return studies


def _visible(root: Path, pattern: str) -> list[Path]:
    """Return the matching files less hidden ones, such as macOS's `._*` and files being written."""
    return sorted(path for path in root.glob(pattern) if not path.name.startswith("."))


def _no_dataset(root: Path) -> str:
    nested = next((path.parent for path in sorted(root.glob("*/studies"))), None)
    hint = f"\nThere is one in {nested}: set dataset.root to that folder." if nested else ""
    problem = "has neither studies nor masks" if root.is_dir() else "does not exist"
    return (
        f"No data set: the folder {root} (dataset.root in the config) {problem}.{hint}\n"
        f"MosMedData is to be had at https://mosmed.ai/datasets/covid19_1110. Unpack it so that there are\n"
        f"    {root}/studies/CT-1/study_0255.nii.gz       and so on, in class folders CT-0 … CT-4\n"
        f"    {root}/masks/study_0255_mask.nii.gz         and so on\n"
        f"    {root}/dataset_registry.xlsx                or .csv; optional\n"
        "or set dataset.root to where it lies. To try the workflow on synthetic scans instead: make demo"
    )


def _enumerate(paths: list[Path], limit: int = 5) -> str:
    shown = ", ".join(map(str, paths[:limit]))
    return shown if len(paths) <= limit else f"{shown} and {len(paths) - limit} more"
