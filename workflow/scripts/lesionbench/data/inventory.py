"""What a data set holds: its registry, the geometry and lesion volume of every study, and the number of each class."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from lesionbench.data.frames import read_text
from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_header, read_mask
from lesionbench.data.studies import CATEGORIES, Study, file_stem, find_registry, mask_stem
from lesionbench.data.volume import PLANES, match_grid, to_slices
from lesionbench.errors import UserError
from lesionbench.files import sha256

PAPER_STUDIES = (254, 684, 125, 45, 2)  # of each category (paper, Figure 3.1)


def read_registry(root: str | Path, known: Collection[str] = ()) -> pd.DataFrame | None:
    """Return the data set's registry, or None where there is none.

    The columns are study, category, and the paths ct and mask below `root` as the registry names them, or "". A study
    is called as its files; where none is named, by study_id. A number there is short for MosMedData's names, 255 for
    study_0255, unless a study of the data set, one of `known`, is called just so.

    Raises UserError where the registry cannot be read, lacks a column, lists a study twice or gives it no known class.
    """
    path = find_registry(root)
    if path is None:
        return None
    table = read_text(path)
    if not {"study_id", "category"} <= set(table.columns):
        raise UserError(
            f"{path}: the columns study_id and category are needed; it has {', '.join(map(str, table.columns))}."
        )
    columns = ["study_id", "category", "study_file", "mask_file"]
    table = table[(table != "").any(axis=1)].reindex(columns=columns, fill_value="")
    rows = table[["study_id", "study_file", "mask_file"]].itertuples(index=False)
    names = [_study_name(known, *row) for row in rows]
    files = [table[column].str.strip().str.lstrip("/") for column in ("study_file", "mask_file")]
    registry = pd.DataFrame(
        {"study": names, "category": table["category"].str.strip(), "ct": files[0], "mask": files[1]}
    )
    unknown = registry.loc[~registry["category"].isin(CATEGORIES)]
    problems = [
        f"{row.study}: category {row.category!r} is none of {', '.join(CATEGORIES)}" for row in unknown.itertuples()
    ]
    problems += [f"{study}: listed twice" for study in registry.loc[registry["study"].duplicated(), "study"]]
    if problems:
        raise UserError(f"{path}: correct these lines.\n" + "\n".join(problems))
    return registry


def inventory(
    studies: Sequence[Study],
    root: str | Path,
    registry: pd.DataFrame | None = None,
    threads: int = 1,
    reading: Reading = AS_IS,
) -> pd.DataFrame:
    """Return a row a study, from the header of its CT and all of its mask.

    The columns are study, category, patient if one is known, ct and mask (paths below `root`), shape, spacing_mm (both
    in the order of the array's axes), orientation, the number of slices in each plane, lesion_slices (axial slices with
    lesion), lesion_ml, ct_sha256 and mask_sha256. What is not there is missing (NA).

    Raises UserError that lists what is wrong with all studies: files that the registry names and that are not there,
    classes that differ from it, files that cannot be read, and masks on another grid than their CT.
    """
    root = Path(root)
    categories = {} if registry is None else dict(zip(registry["study"], registry["category"], strict=True))
    problems = [] if registry is None else _missing_files(registry, root)
    describe = partial(_try_describing, root=root, categories=categories, reading=reading)
    with ThreadPoolExecutor(threads) as pool:
        outcomes = list(tqdm(pool.map(describe, studies), total=len(studies), unit="study", disable=None))
    problems += [str(outcome) for outcome in outcomes if isinstance(outcome, UserError)]
    if problems:
        raise UserError(f"{root}: {len(problems)} of the data set's files cannot be used.\n" + "\n".join(problems))
    table = pd.DataFrame([outcome for outcome in outcomes if isinstance(outcome, dict)])
    if table["patient"].isna().all():
        table = table.drop(columns="patient")
    return table.astype({"lesion_slices": "Int64", "lesion_ml": "Float64"})


def class_counts(
    studies: pd.DataFrame, registry: pd.DataFrame | None = None, categories: Sequence[str] = CATEGORIES
) -> pd.DataFrame:
    """Return category, studies and annotated, a row a category, and for MosMedData's categories paper_studies.

    `studies` is the inventory. What the registry lists counts as well, so that the classes are those of the whole data
    set where only a part of it is there. A last row "unknown" is there if a study has no category.
    """
    listed = studies if registry is None else pd.concat([registry, studies])
    listed = listed.drop_duplicates("study").fillna({"category": "unknown"})
    annotated = studies.loc[studies["mask"].notna()].fillna({"category": "unknown"})
    rows = [*categories, "unknown"] if (listed["category"] == "unknown").any() else list(categories)
    counts = pd.DataFrame(
        {
            "studies": listed["category"].value_counts().reindex(rows, fill_value=0),
            "annotated": annotated["category"].value_counts().reindex(rows, fill_value=0),
        }
    )
    if tuple(categories) == CATEGORIES:
        counts["paper_studies"] = pd.Series(PAPER_STUDIES, CATEGORIES, dtype="Int64").reindex(rows)
    return counts.rename_axis("category").reset_index()


def _study_name(known: Collection[str], study_id: str, *files: str) -> str:
    for file in files:
        if file.strip():
            return mask_stem(file.strip())
    name = study_id.strip()
    return f"study_{int(name):04d}" if name.isdecimal() and name not in known else name


def _missing_files(registry: pd.DataFrame, root: Path) -> list[str]:
    """Complain of files that the registry names and that are not there, unless their whole folder is not.

    A file that has been unpacked or packed since is there: `.nii` in place of `.nii.gz`.
    """
    files = [root / name for name in [*registry["ct"], *registry["mask"]] if name]
    present = {folder: {file_stem(path) for path in folder.glob("*")} for folder in {file.parent for file in files}}
    return [
        f"{file}: the registry names this file and it is not there. Unpack it, or remove it from the registry."
        for file in files
        if file.parent.is_dir() and file_stem(file) not in present[file.parent]
    ]


def _try_describing(
    study: Study, root: Path, categories: dict[str, str], reading: Reading
) -> dict[str, object] | UserError:
    try:
        return _describe(study, root, categories.get(study.name, study.category), reading)
    except UserError as error:
        return error


def _describe(study: Study, root: Path, category: str | None, reading: Reading) -> dict[str, object]:
    if study.category not in (None, category):
        raise UserError(
            f"{study.name}: lies in the folder {study.category}, and the registry says {category}. "
            "Move it, or correct the registry."
        )
    reading = replace(reading, series=study.series or reading.series)
    mask = read_mask(study.mask, reading) if study.mask else None
    grids = [read_header(study.ct, reading)] if study.ct else []
    grids += [mask.grid] if mask else []
    grid = grids[0]
    mask = match_grid(study.name, grid, mask) if mask else None
    slices = {f"{plane}_slices": len(to_slices(np.broadcast_to(0, grid.shape), grid.affine, plane)) for plane in PLANES}
    return {
        "study": study.name,
        "category": category,
        "patient": study.patient,
        "ct": study.ct and _below(study.ct, root),
        "mask": study.mask and _below(study.mask, root),
        "shape": "x".join(map(str, grid.shape)),
        "spacing_mm": "x".join(str(round(float(size), 4)) for size in grid.spacing),
        "orientation": grid.orientation,
        **slices,
        "lesion_slices": int(to_slices(mask.data, mask.affine, "axial").any(axis=(1, 2)).sum()) if mask else None,
        "lesion_ml": round(int(mask.data.sum(dtype=np.int64)) * mask.voxel_ml, 4) if mask else None,
        "ct_sha256": study.ct and sha256(study.ct),
        "mask_sha256": study.mask and sha256(study.mask),
    }


def _below(path: Path, root: Path) -> str:
    """Return a path below `root`, or as it is where a table names a file elsewhere."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
