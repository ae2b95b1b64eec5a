"""What a data set holds and what is wrong with it: registry, geometry and lesion volume, findings, classes."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lesionbench.data.duplicates import fingerprint, patients_in_names, same_contents, same_scans
from lesionbench.data.findings import ERROR, WARNING, Check, Finding, check_grid, check_mask, check_values, of_message
from lesionbench.data.listing import read_listing
from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_ct, read_header, read_mask
from lesionbench.data.studies import CATEGORIES, Study, file_stem, find_registry, mask_stem
from lesionbench.data.volume import PLANES, Grid, Volume, match_grid, to_slices
from lesionbench.errors import UserError
from lesionbench.files import sha256
from lesionbench.logs import collected_warnings
from lesionbench.progress import track
from lesionbench.words import counted, listed

PAPER_STUDIES = (254, 684, 125, 45, 2)  # of each category (paper, Figure 3.1)
_COLUMNS = (
    "study", "category", "patient", "set", "ct", "mask", "shape", "spacing_mm", "orientation",
    *(f"{plane}_slices" for plane in PLANES), "lesion_slices", "lesion_ml", "ct_sha256", "mask_sha256",
)  # fmt: skip


class Inventory(NamedTuple):
    """A row for each study; all that is wrong or looks wrong, errors first; what each CT looks like, by study."""

    table: pd.DataFrame
    findings: list[Finding]
    fingerprints: dict[str, np.ndarray]


@dataclass(frozen=True)
class _Examined:
    """What reading a study leaves: no voxels."""

    study: Study
    findings: list[Finding]
    row: dict[str, object] | None
    fingerprint: np.ndarray | None


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
    needed = ("study_id", "category")
    header, lines = read_listing(path, "dataset.root", needed)
    if not set(needed) <= set(header):
        raise UserError(
            f"{path}: the columns study_id and category are needed; it has {', '.join(header) or 'none'}. Cells are "
            "separated by commas, semicolons or tabs."
        )
    table = pd.DataFrame(lines, columns=[*needed, "study_file", "mask_file"], dtype=str).fillna("")
    rows = table[["study_id", "study_file", "mask_file"]].itertuples(index=False)
    names = [_study_name(known, *row) for row in rows]
    files = [table[column].str.lstrip("/") for column in ("study_file", "mask_file")]
    registry = pd.DataFrame({"study": names, "category": table["category"], "ct": files[0], "mask": files[1]})
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
    needs_ct: bool = False,
) -> Inventory:
    """Return what the studies are and what is wrong with them; each file is read once, a study a thread at a time.

    The table has a row for each study that can be read. Its columns are study, category, patient and set if one is
    known, ct and mask (paths below `root`), shape, spacing_mm (both in the order of the array's axes), orientation,
    the number of slices in each plane, lesion_slices (axial slices with lesion), lesion_ml, ct_sha256 and
    mask_sha256. What is not there is missing (NA).

    A study without CT is an error if `needs_ct`, as it is for a training, else a warning.
    """
    root = Path(root)
    categories = {} if registry is None else dict(zip(registry["study"], registry["category"], strict=True))
    findings = [] if registry is None else _missing_files(registry, root)
    findings += _missing_parts(studies, root, ERROR if needs_ct else WARNING)
    with collected_warnings() as take_warnings, ThreadPoolExecutor(threads) as pool:
        examine = partial(_examine, root=root, categories=categories, reading=reading, take_warnings=take_warnings)
        examined = list(track(pool.map(examine, studies), "study", len(studies)))
    for one in examined:
        findings += one.findings
    findings += _repeated(examined, root)
    findings += _named_alike(studies)
    table = pd.DataFrame([one.row for one in examined if one.row], columns=list(_COLUMNS))
    table = table.drop(columns=[name for name in ("patient", "set") if table[name].isna().all()])
    findings += _no_lesion(studies, table, root)
    order = {ERROR: 0, WARNING: 1}
    findings.sort(key=lambda finding: (order[finding.severity], finding.study, finding.kind))
    looks = {one.study.name: one.fingerprint for one in examined if one.fingerprint is not None}
    return Inventory(table.astype({"lesion_slices": "Int64", "lesion_ml": "Float64"}), findings, looks)


def find_known(external: Inventory, table: pd.DataFrame, fingerprints: Mapping[str, np.ndarray]) -> list[Finding]:
    """Return the studies of an external set whose scans are those of studies that a model may have learned from.

    table, fingerprints: of the inventory of the data set that is trained on. The same file and the same look are
    errors, a similar look is a warning; only studies with a mask are learned from.
    """
    known = table[table["mask"].notna()]
    by_content = dict(zip(known["ct_sha256"].dropna(), known.loc[known["ct_sha256"].notna(), "study"], strict=True))
    looks = {study: fingerprints[study] for study in known["study"] if study in fingerprints}
    pairs = same_scans([*looks.values(), *external.fingerprints.values()])
    names = [*looks, *external.fingerprints]
    alike = {
        names[pair.second]: (names[pair.first], pair.correlation)
        for pair in pairs
        if pair.first < len(looks) <= pair.second
    }
    remedy = "Take it out of the external set, or its twin out of the data set: a model may have learned from it"
    findings = []
    for study, file, digest in external.table[["study", "ct", "ct_sha256"]].itertuples(index=False, name=None):
        twin, correlation = alike.get(study, ("", 0.0))
        if digest in by_content:
            what, severity = f"the CT is the same file as that of {by_content[digest]} in the data set", ERROR
        elif twin:
            what = f"the CT looks like the same scan as that of {twin} in the data set (correlation {correlation:.3f})"
            severity = ERROR if correlation == 1 else WARNING
        else:
            continue
        findings.append(Finding(severity, "known-scan", study, file, what, remedy))
    return findings


def refuse_errors(findings: Sequence[Finding], root: str | Path) -> None:
    """Raise UserError that lists all findings that are errors, if there are any."""
    errors = [str(finding) for finding in findings if finding.severity == ERROR]
    if errors:
        raise UserError(f"{root}: {counted(len(errors), 'error')} in the data set.\n" + "\n".join(errors))


def findings_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return severity, kind, study, file, what and remedy, a row a finding."""
    return pd.DataFrame(map(asdict, findings), columns=[field.name for field in fields(Finding)])


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
        if file:
            return mask_stem(file)
    is_short = study_id.isdecimal() and len(study_id) < 10 and study_id not in known
    return f"study_{int(study_id):04d}" if is_short else study_id


def _missing_files(registry: pd.DataFrame, root: Path) -> list[Finding]:
    """Complain of files that the registry names and that are not there, unless their whole folder is not.

    A file that has been unpacked or packed since is there: `.nii` in place of `.nii.gz`.
    """
    rows = registry[["study", "ct", "mask"]].to_numpy().tolist()
    named = [(str(study), str(name)) for study, *names in rows for name in names if name]
    folders = {(root / name).parent for _, name in named}
    present = {folder: {file_stem(path) for path in folder.glob("*")} for folder in folders if folder.is_dir()}
    return [
        Finding(
            ERROR,
            "registry",
            study,
            name,
            "the registry names this file and it is not there",
            "Unpack it, or remove it from the registry",
        )
        for study, name in named
        if (folder := (root / name).parent) in present and file_stem(name) not in present[folder]
    ]


def _missing_parts(studies: Sequence[Study], root: Path, severity: str) -> list[Finding]:
    """Complain of masks without CT, study by study or, if there is no CT at all, once; and of a set without masks."""
    masks = [study for study in studies if study.mask]
    without = [study for study in masks if not study.ct]
    remedy = "Add the CT; without it only masks from elsewhere can be compared"
    if not masks:
        return [Finding(ERROR, "no-mask", "", str(root), "no study has a mask", "Add masks of the lesions")]
    if len(without) > 1 and not any(study.ct for study in studies):
        what = f"none of the {counted(len(masks), 'mask')} has a CT"
        return [Finding(severity, "no-ct", "", str(root), what, remedy)]
    return [
        Finding(severity, "no-ct", study.name, _below(study.mask, root), "the mask has no CT", remedy)
        for study in without
    ]


def _no_lesion(studies: Sequence[Study], table: pd.DataFrame, root: Path) -> list[Finding]:
    """Complain of a set whose masks are all empty; one that could not be read may hold a lesion."""
    masks = table["lesion_slices"].dropna()
    if not len(masks) or masks.any() or len(masks) < sum(study.mask is not None for study in studies):
        return []
    what = "no mask holds a lesion, so there is nothing to find"
    remedy = "Take the masks with lesions, or set dataset.lesion_labels to the labels that lesions have there"
    return [Finding(ERROR, "no-lesion", "", str(root), what, remedy)]


def _examine(
    study: Study,
    root: Path,
    categories: Mapping[str, str],
    reading: Reading,
    take_warnings: Callable[[], list[str]],
) -> _Examined:
    """Read the files of a study and check them; a file that cannot be read is a finding."""
    category = categories.get(study.name, study.category)
    findings = [] if study.category in (None, category) else [_other_category(study, root, category)]
    reading = replace(reading, series=study.series or reading.series)
    ct, mask = (
        _try_reading(study, path, partial(read, reading=reading), root, findings)
        for path, read in ((study.ct, read_ct), (study.mask, read_mask))
    )
    grid = ct.grid if ct else _grid_alone(study.ct, reading)
    if grid and mask:
        try:
            mask = match_grid(study.name, grid, mask)
        except UserError as error:
            findings.append(_finding(ERROR, "grid", study, study.mask, root, str(error)))
            mask = None
    for text in dict.fromkeys(take_warnings()):
        read = next((path for path in (study.ct, study.mask) if text.startswith(f"{path}: ")), None)
        findings.append(_finding(WARNING, "reading" if read else "grid", study, read or study.mask, root, text))
    findings += _checks(study, ct, mask, root)
    readable = bool(ct or not study.ct) and bool(mask or not study.mask)
    return _Examined(
        study,
        findings,
        _describe(study, root, category, ct, mask) if readable else None,
        None if ct is None else fingerprint(ct),
    )


def _try_reading(
    study: Study, path: Path | None, read: Callable[[Path], Volume], root: Path, findings: list[Finding]
) -> Volume | None:
    try:
        return read(path) if path else None
    except UserError as error:
        findings.append(_finding(ERROR, "file", study, path, root, str(error)))
        return None


def _grid_alone(path: Path | None, reading: Reading) -> Grid | None:
    """Return the grid of a CT whose voxels cannot be read, if its header can."""
    try:
        return read_header(path, reading) if path else None
    except UserError:
        return None


def _checks(study: Study, ct: Volume | None, mask: Volume | None, root: Path) -> Iterator[Finding]:
    """Yield what the checks of one study find; a CT that is no HU is not compared with its mask."""
    hu = None
    if ct:
        values = list(check_values(ct.data))
        yield from (_of(study, study.ct, root, check) for check in [*values, *check_grid(ct.grid)])
        hu = to_slices(ct.data, ct.affine, "axial") if ERROR not in {check.severity for check in values} else None
    if mask:
        lesion = to_slices(mask.data, mask.affine, "axial")
        yield from (_of(study, study.mask, root, check) for check in check_mask(hu, lesion))


def _of(study: Study, path: Path | None, root: Path, check: Check) -> Finding:
    return Finding(check.severity, check.kind, study.name, _below(path, root), check.what, check.remedy)


def _finding(severity: str, kind: str, study: Study, path: Path | None, root: Path, text: str) -> Finding:
    """Return a finding of an error's or a warning's text: "file or study: what is wrong. What to do."."""
    text = text.removeprefix(f"{path}: ").removeprefix(f"{study.name}: ")
    return of_message(severity, kind, text, study.name, _below(path, root))


def _other_category(study: Study, root: Path, category: str | None) -> Finding:
    return Finding(
        ERROR,
        "registry",
        study.name,
        _below(study.ct, root),
        f"lies in the folder {study.category}, and the registry says {category}",
        "Move it, or correct the registry",
    )


def _repeated(examined: Sequence[_Examined], root: Path) -> Iterator[Finding]:
    """Yield studies that hold a scan or a mask that another one holds."""
    by_name = {one.study.name: one for one in examined}
    rows = {one.study.name: one.row for one in examined if one.row}
    scans = {name: str(row["ct_sha256"]) for name, row in rows.items() if row["ct"]}
    same_ct = {study: earlier for earlier, study in same_contents(scans)}
    for study, earlier in same_ct.items():
        what = f"the CT is the same file as that of {earlier}"
        yield _same(by_name[earlier].study, by_name[study].study, root, what, certain=True)
    seen = [(one.study, one.fingerprint) for one in examined if one.fingerprint is not None]
    seen = [(study, shape) for study, shape in seen if study.name not in same_ct]  # of a copy, once is enough
    for first, second, correlation in same_scans([shape for _, shape in seen]):
        one, other = seen[first][0], seen[second][0]
        what = f"the CT looks like the same scan as that of {one.name} (correlation {correlation:.3f})"
        yield _same(one, other, root, what, certain=correlation == 1)
    masks = {name: str(row["mask_sha256"]) for name, row in rows.items() if row["mask"] and row["lesion_ml"]}
    for earlier, name in same_contents(masks):
        if name not in same_ct:
            what = f"the mask is the same file as that of {earlier}"
            remedy = "Take the mask that was drawn on this scan"
            yield Finding(WARNING, "same-mask", name, str(rows[name]["mask"]), what, remedy)


def _same(one: Study, other: Study, root: Path, what: str, certain: bool) -> Finding:
    file = _below(other.ct, root)
    if one.patient is not None and one.patient == other.patient:
        remedy = "Nothing, if both are wanted: studies of one patient stay on one side of a split"
        return Finding(WARNING, "same-scan", other.name, file, what, remedy)
    remedy = "Remove one, or give both the same patient: else one may train and the other test"
    return Finding(ERROR if certain else WARNING, "same-scan", other.name, file, what, remedy)


def _named_alike(studies: Sequence[Study]) -> Iterator[Finding]:
    for group in patients_in_names(study.name for study in studies if study.patient is None):
        what = f"by their names, {listed(group)} may be scans of one patient"
        remedy = "If they are, say so ({patient} in a pattern, or a table's column), so that no split divides them"
        yield Finding(WARNING, "same-patient", group[0], "", what, remedy)


def _describe(
    study: Study, root: Path, category: str | None, ct: Volume | None, mask: Volume | None
) -> dict[str, object]:
    volume = ct or mask
    assert volume  # a study has a CT or a mask
    grid = volume.grid
    slices = {f"{plane}_slices": len(to_slices(np.broadcast_to(0, grid.shape), grid.affine, plane)) for plane in PLANES}
    return {
        "study": study.name,
        "category": category,
        "patient": study.patient,
        "set": study.set,
        "ct": study.ct and _below(study.ct, root),
        "mask": study.mask and _below(study.mask, root),
        "shape": "x".join(map(str, grid.shape)),
        "spacing_mm": "x".join(str(round(float(size), 4)) for size in grid.spacing),
        "orientation": grid.orientation,
        **slices,
        "lesion_slices": int(to_slices(mask.data, mask.affine, "axial").any(axis=(1, 2)).sum()) if mask else None,
        "lesion_ml": round(int(np.count_nonzero(mask.data)) * mask.voxel_ml, 4) if mask else None,
        "ct_sha256": study.ct and sha256(study.ct),
        "mask_sha256": study.mask and sha256(study.mask),
    }


def _below(path: Path | None, root: Path) -> str:
    """Return a path below `root`, or as it is where a file lies elsewhere."""
    if path is None:
        return ""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
