"""Division of the annotated studies into training, validation and test parts, by study and never by slice.

It is imported while Snakemake parses the workflow and needs nothing beyond the standard library.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from lesionbench.errors import UserError
from lesionbench.files import atomic, refuse_links_to_nothing

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


def make_folds(studies: Sequence[str], split: Split) -> list[Fold]:
    """Return the folds of the protocol: one for a holdout, `folds` for a cross-validation, or those of the user's file.

    `studies` are the annotated studies' names. They are put in the order of a hash of seed and name, which is the same
    on every machine and does not depend on the order given.

    A holdout of 50 studies by 7 : 1 : 2 has 35, 5 and 10 (paper, section 3.2). In a cross-validation every study is
    tested once; the studies that follow a fold's test studies in the order are its validation part, in the proportion
    of the ratio's first two numbers.

    Raises UserError where there are too few studies to fill every part.
    """
    if split.file:
        refuse_links_to_nothing([Path(split.file)], "split.file")
        return read_split_file(split.file, studies)
    ordered = sorted(studies, key=lambda study: hashlib.sha256(f"{split.seed}:{study}".encode()).digest())
    if split.protocol == "holdout":
        _require(3, len(ordered), "A holdout")
        train, validation, _ = _apportion(len(ordered), split.ratio)
        return [_fold(0, ordered[:train], ordered[train : train + validation], ordered[train + validation :])]
    count = split.folds
    # With two folds of three studies, one fold would leave a single study for training and validation.
    _require(4 if count == 2 else count, len(ordered), f"A cross-validation with {count} folds")
    folds, start = [], 0
    for index in range(count):
        stop = start + len(ordered) // count + (index < len(ordered) % count)
        rest = ordered[stop:] + ordered[:start]
        _, validation = _apportion(len(rest), split.ratio[:2])
        folds.append(_fold(index, rest[validation:], rest[:validation], ordered[start:stop]))
        start = stop
    return folds


def read_split_file(path: str | Path, studies: Sequence[str]) -> list[Fold]:
    """Return the folds of a user's CSV with the columns study, subset and optionally fold (from 0), in order of fold.

    Raises UserError that lists every study which, in some fold, is there twice, missing or not an annotated one, and
    every empty part.
    """
    rows_by_fold: dict[int, list[tuple[str, str]]] = {}
    for index, study, subset in _read_rows(Path(path)):
        rows_by_fold.setdefault(index, []).append((study, subset))
    problems, folds = [], []
    for index, rows in sorted(rows_by_fold.items()):
        counts = Counter(study for study, _ in rows)
        parts = {subset: [study for study, other in rows if other == subset] for subset in SUBSETS}
        found = {
            "more than once": [study for study, count in counts.items() if count > 1],
            "not an annotated study of the data set": sorted(counts.keys() - set(studies)),
            "missing": sorted(set(studies) - counts.keys()),
            "without any study": [subset for subset in SUBSETS if not parts[subset]],
        }
        problems += [f"fold {index}: {', '.join(names)}: {what}" for what, names in found.items() if names]
        folds.append(_fold(index, *parts.values()))
    if problems:
        raise UserError(
            f"{path} (split.file): every annotated study must be in exactly one of {', '.join(SUBSETS)} in each fold.\n"
            + "\n".join(problems)
        )
    return folds


def write_fold(fold: Fold, path: str | Path) -> None:
    """Write a fold as CSV with the columns study and subset."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("study", "subset"))
        writer.writerows((study, subset) for subset in SUBSETS for study in getattr(fold, subset))


def _fold(index: int, train: Sequence[str], validation: Sequence[str], test: Sequence[str]) -> Fold:
    return Fold(index, tuple(sorted(train)), tuple(sorted(validation)), tuple(sorted(test)))


def _require(needed: int, found: int, what: str) -> None:
    if found < needed:
        raise UserError(
            f"{what} needs at least {needed} annotated studies, the data set has {found}. "
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
    """Return (fold, study, subset) a line of a user's CSV; a byte-order mark and spaces around values do not matter."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file, skipinitialspace=True) if any(map(str.strip, line))]
    except FileNotFoundError:
        raise UserError(f"split.file: there is no file {path}. Correct the path, or set it to null.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"split.file: {path} cannot be read as CSV in UTF-8 ({error}). Save it again.") from None
    header = [name.strip() for name in lines[0]] if lines else []
    if not {"study", "subset"} <= set(header) or len(lines) < 2:
        raise UserError(
            f"split.file: {path} needs the columns study and subset, and optionally fold, and a line a study; its "
            f"columns are: {', '.join(header) or 'none'}; its lines below them: {max(len(lines) - 1, 0)}."
        )
    rows = []
    for line in lines[1:]:
        values = dict(zip(header, (value.strip() for value in line), strict=False))
        study, fold, subset = values.get("study", ""), values.get("fold", "0"), values.get("subset")
        if subset not in SUBSETS or not (fold.isascii() and fold.isdigit()):
            raise UserError(
                f"split.file: {path}, study {study!r}: subset {subset!r}, fold {fold!r}. The column subset "
                f"must be one of {', '.join(SUBSETS)}, the column fold a number from 0."
            )
        rows.append((int(fold), study, subset))
    return rows
