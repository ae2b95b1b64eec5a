"""Division of the annotated studies into training, validation and test parts: by patient, and never by slice.

It is imported while Snakemake parses the workflow and needs nothing beyond the standard library.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from lesionbench.data.listing import read_listing
from lesionbench.errors import UserError
from lesionbench.files import atomic
from lesionbench.words import first_few

SUBSETS = ("train", "validation", "test")


@dataclass(frozen=True)
class Fold:
    """One division of the studies; the parts are disjoint, not empty, and sorted by name."""

    index: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """The section `split` of the configuration; the schema says what each key means."""

    protocol: str = "holdout"
    ratio: tuple[float, ...] = (7, 1, 2)
    folds: int = 5
    seed: int = 0
    file: str | None = None


def make_folds(patients: Mapping[str, str], split: Split, sets: Mapping[str, str | None] | None = None) -> list[Fold]:
    """Return the folds of the protocol: one for a holdout, `folds` for a cross-validation, or those of the user's file.

    `patients` holds the patient of each annotated study; a study of an unknown patient is a patient of its own name.
    `sets` holds the set of each study, for the protocol that leaves one set out: each is tested once, by networks that
    learned from all others.

    What is divided are patients: all studies of one are in the same part. They are put in the order of a hash of seed
    and name, which is the same on every machine and does not depend on the order given.

    A holdout of 50 patients by 7 : 1 : 2 has 35, 5 and 10 (paper, section 3.2). In a cross-validation every patient is
    tested once; the patients that follow a fold's test patients in the order are its validation part, in the proportion
    of the ratio's first two numbers.

    Raises UserError where there are too few patients to fill every part, the user's file divides one, or a set is left
    out and there are fewer than two, a study is of none, or a patient of several.
    """
    if split.file:
        return read_split_file(split.file, patients)
    studies_of: dict[str, list[str]] = {}
    for study, patient in patients.items():
        studies_of.setdefault(patient, []).append(study)
    noun = "annotated studies" if len(studies_of) == len(patients) else "patients with annotated studies"
    ordered = sorted(studies_of, key=lambda patient: hashlib.sha256(f"{split.seed}:{patient}".encode()).digest())
    if split.protocol == "holdout":
        divided = _holdout(ordered, split, noun)
    elif split.protocol == "cross-validation":
        divided = _crossed(ordered, split, noun)
    else:
        divided = _by_set(ordered, split, _sets_of(studies_of, sets or {}))
    return [
        _fold(index, *([study for patient in part for study in studies_of[patient]] for part in parts))
        for index, parts in enumerate(divided)
    ]


def _holdout(ordered: Sequence[str], split: Split, noun: str) -> list[tuple[Sequence[str], ...]]:
    _require(3, len(ordered), "A holdout", noun)
    train, validation, _ = _apportion(len(ordered), split.ratio)
    return [(ordered[:train], ordered[train : train + validation], ordered[train + validation :])]


def _crossed(ordered: Sequence[str], split: Split, noun: str) -> list[tuple[Sequence[str], ...]]:
    count = split.folds
    # With two folds of three patients, one fold would leave a single one for training and validation.
    _require(4 if count == 2 else count, len(ordered), f"A cross-validation with {count} folds", noun)
    folds: list[tuple[Sequence[str], ...]] = []
    start = 0
    for index in range(count):
        stop = start + len(ordered) // count + (index < len(ordered) % count)
        rest = [*ordered[stop:], *ordered[:start]]
        _, validation = _apportion(len(rest), split.ratio[:2])
        folds.append((rest[validation:], rest[:validation], ordered[start:stop]))
        start = stop
    return folds


def _by_set(ordered: Sequence[str], split: Split, set_of: Mapping[str, str]) -> list[tuple[Sequence[str], ...]]:
    folds: list[tuple[Sequence[str], ...]] = []
    for tested in sorted(set(set_of.values())):
        rest = [patient for patient in ordered if set_of[patient] != tested]
        _require(2, len(rest), f"Leaving the set {tested} out", "other patients")
        _, validation = _apportion(len(rest), split.ratio[:2])
        folds.append((rest[validation:], rest[:validation], [name for name in ordered if set_of[name] == tested]))
    return folds


def _sets_of(studies_of: Mapping[str, Sequence[str]], sets: Mapping[str, str | None]) -> dict[str, str]:
    """Return the set of each patient."""
    found = {patient: {sets.get(study) for study in studies} for patient, studies in studies_of.items()}
    if unknown := sorted(study for studies in studies_of.values() for study in studies if not sets.get(study)):
        problem = f"no set is known of {first_few(unknown)}"
    elif several := sorted(patient for patient, of in found.items() if len(of) > 1):
        problem = f"{first_few(several)} {'has' if len(several) == 1 else 'have'} studies in several sets"
    elif len({name for of in found.values() for name in of}) < 2:
        problem = "there is one set alone"
    else:
        return {patient: str(next(iter(of))) for patient, of in found.items()}
    raise UserError(
        f"split.protocol: leave-one-set-out: {problem}. Name the set of each study by {{set}} in dataset.ct and "
        "dataset.mask, or in a column set of dataset.table; or choose holdout or cross-validation."
    )


def read_split_file(path: str | Path, patients: Mapping[str, str]) -> list[Fold]:
    """Return the folds of a user's CSV with the columns study, subset and optionally fold (from 0), in order of fold.

    `patients` holds the patient of each annotated study. Lines with an empty subset do not count, so that the file may
    be the data set's own table.

    Raises UserError that lists every study which, in some fold, is there twice, missing or not an annotated one, every
    patient whose studies are not all in one part, and every empty part.
    """
    rows_by_fold: dict[int, list[tuple[str, str]]] = {}
    for index, study, subset in _read_rows(Path(path)):
        rows_by_fold.setdefault(index, []).append((study, subset))
    problems, folds = [], []
    for index, rows in sorted(rows_by_fold.items()):
        counts = Counter(study for study, _ in rows)
        unknown, missing = sorted(counts.keys() - patients.keys()), sorted(patients.keys() - counts.keys())
        parts = {subset: [study for study, other in rows if other == subset] for subset in SUBSETS}
        found = {
            "more than once": [study for study, count in counts.items() if count > 1],
            "not an annotated study of the data set": unknown,
            "missing": missing,
            "lost the zeros before it, as spreadsheets do": _without_zeros(unknown, missing),
            "of one patient and in several parts": _divided(rows, patients),
            "without any study": [subset for subset in SUBSETS if not parts[subset]],
        }
        problems += [f"fold {index}: {', '.join(names)}: {what}" for what, names in found.items() if names]
        folds.append(_fold(index, *parts.values()))
    if problems:
        raise UserError(
            f"{path} (split.file): every annotated study must be in exactly one of {', '.join(SUBSETS)} in each fold, "
            "and all studies of a patient in the same one.\n" + "\n".join(problems)
        )
    return folds


def _divided(rows: Sequence[tuple[str, str]], patients: Mapping[str, str]) -> list[str]:
    """Return each patient that has studies in several parts, with those studies."""
    parts: dict[str, dict[str, str]] = {}
    for study, subset in rows:
        if study in patients:
            parts.setdefault(patients[study], {})[study] = subset
    return [f"{patient} ({first_few(sorted(of))})" for patient, of in parts.items() if len(set(of.values())) > 1]


def _without_zeros(unknown: Sequence[str], missing: Sequence[str]) -> list[str]:
    """Return "1 for 001" for each unknown number that is a missing study but for zeros before it."""
    return [f"{name} for {study}" for name in unknown for study in missing if name and name == study.lstrip("0")]


def write_fold(fold: Fold, path: str | Path) -> None:
    """Write a fold as CSV with the columns study and subset."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("study", "subset"))
        writer.writerows((study, subset) for subset in SUBSETS for study in getattr(fold, subset))


def _fold(index: int, train: Sequence[str], validation: Sequence[str], test: Sequence[str]) -> Fold:
    return Fold(index, tuple(sorted(train)), tuple(sorted(validation)), tuple(sorted(test)))


def _require(needed: int, found: int, what: str, noun: str) -> None:
    if found < needed:
        raise UserError(
            f"{what} needs at least {needed} {noun}, the data set has {found}. "
            "Add masks to the data set, or change the key split of the config."
        )


def _apportion(total: int, ratio: Sequence[float]) -> list[int]:
    """Divide `total` in the proportion of `ratio` by largest remainder, then fill an empty part from the largest."""
    weights = [Fraction(str(weight)) for weight in ratio]  # exact: in floating point 0.7 + 0.1 + 0.2 is below 1
    quotas = [total * weight / sum(weights) for weight in weights]
    parts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(parts)), key=lambda part: parts[part] - quotas[part])
    for part in by_remainder[: total - sum(parts)]:
        parts[part] += 1
    while 0 in parts:
        parts[parts.index(max(parts))] -= 1
        parts[parts.index(0)] += 1
    return parts


def _read_rows(path: Path) -> list[tuple[int, str, str]]:
    """Return (fold, study, subset) a line of a user's CSV or .xlsx; lines with an empty subset are passed over."""
    header, lines = read_listing(path, "split.file", ["study", "subset"])
    if not {"study", "subset"} <= set(header) or not lines:
        raise UserError(
            f"split.file: {path} needs the columns study and subset, and optionally fold, and a line a study; its "
            f"columns are: {', '.join(header) or 'none'}; its lines below them: {len(lines)}."
        )
    rows = []
    for line in lines:
        study, fold, subset = line.get("study", ""), line.get("fold", "0"), line.get("subset")
        if subset == "":
            continue
        if subset not in SUBSETS or not (fold.isascii() and fold.isdigit() and len(fold) < 5):
            raise UserError(
                f"split.file: {path}, study {study!r}: subset {subset!r}, fold {fold!r}. The column subset "
                f"must be one of {', '.join(SUBSETS)}, the column fold a number from 0."
            )
        rows.append((int(fold), study, subset))
    return rows
