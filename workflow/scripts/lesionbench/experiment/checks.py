"""Checks before anything runs: files that the configuration names must be there and usable.

Imported while Snakemake parses, so it needs nothing but the standard library. All raise UserError.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lesionbench.data.listing import read_listing
from lesionbench.data.studies import DataSet, Study
from lesionbench.environment import CHECKOUT
from lesionbench.errors import UserError
from lesionbench.experiment.rows import Elsewhere, Row, Trained
from lesionbench.files import refuse_links_to_nothing
from lesionbench.words import first_few, listed

_FILLED_IN = re.compile(r"\{\s*[.\w]+\s*(,[^{}]*)?\}|<[a-z][a-z0-9_]*>")


def read_reference_results(path: str | None) -> list[list[Any]]:
    """Return [model, mean Dice, maximum Dice] a row of a CSV with the columns model, mean_dice and max_dice."""
    if not path:
        return []
    columns = ("model", "mean_dice", "max_dice")
    header, lines = read_listing(_find_reference_results(path), "reference_results", columns)
    if not set(columns) <= set(header):
        raise UserError(
            f"reference_results: {path} needs the columns {listed(columns)}; its columns are: "
            f"{', '.join(header) or 'none'}. Correct it, or write:\n  reference_results: null"
        )
    numbers = [[_dice(path, line, column) for column in columns[1:]] for line in lines]
    return [[line.get("model", ""), *pair] for line, pair in zip(lines, numbers, strict=True)]


def _dice(path: str, line: Mapping[str, str], column: str) -> float:
    """Return a Dice of 0 to 1 that is written as 0.6, 0,6 or 60 %."""
    text = line.get(column, "")
    try:
        value = float(text.rstrip("% ").replace(",", ".")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UserError(
            f"reference_results: {path}: the {column} of {line.get('model')} is {text or 'empty'}. Write a number from "
            "0 to 1, or one from 0 to 100 with %."
        )
    return value


def check_scans(studies: Sequence[Study], dataset: DataSet) -> None:
    """Refuse masks without a CT, which a training needs."""
    annotated = [study for study in studies if study.mask]
    without_ct = [study.name for study in annotated if not study.ct]
    if without_ct:
        raise UserError(
            f"{first_few(without_ct)}: {len(without_ct)} of {len(annotated)} masks have no CT in {dataset.root}, where "
            f"{dataset.key}.ct is {dataset.ct or 'null'}. Unpack all of the data set there, name each CT as its study, "
            "or remove these masks."
        )


def check_masks_from_elsewhere(rows: Mapping[str, Row], tested: Sequence[str]) -> None:
    """Refuse test studies that have no mask in the folder of a row."""
    for model, row in rows.items():
        files = row.mask_files(tested)
        refuse_links_to_nothing(files.values(), f"models.{model}.predictions")
        missing = [study for study, path in files.items() if not path.is_file()]
        if missing:
            raise UserError(
                f"models.{model}.predictions: {len(missing)} of {len(tested)} test studies have no mask there "
                f"({first_few(missing)}): {files[missing[0]]} and so on. Add what is missing, name each file as "
                "its study (.nii.gz or .nii, with or without _mask), or correct the path (relative to the working "
                "directory)."
            )


def check_slices_to_show(wanted: str | Sequence[Mapping[str, Any]], shown: Sequence[str]) -> None:
    """Refuse a study of `figures.slices` before the trainings whose predictions the figures would show."""
    unknown = [] if isinstance(wanted, str) else [entry["study"] for entry in wanted if entry["study"] not in shown]
    if unknown:
        raise UserError(
            f"figures.slices: {first_few(unknown)}: not a test study of the first fold. Choose from "
            f"{', '.join(shown)}, or write:\n  slices: auto"
        )


def check_paths(studies: Sequence[str], rows: Mapping[str, Row]) -> None:
    """Refuse paths that Snakemake cannot read: it fills in `{x}` and `<x>` in every path and knows no escape for them.

    Source: `apply_wildcards` in snakemake.io, `Pathvars.apply` in snakemake.pathvars.
    """
    folders = [row.folder for row in rows.values() if isinstance(row, Elsewhere)]
    weights = [file for row in rows.values() if isinstance(row, Trained) for file in row.encoder_weights]
    for path in [*studies, *folders, *weights]:
        if found := _FILLED_IN.search(path.removeprefix("<resources>")):
            raise UserError(
                f"{path}: Snakemake takes {found[0]} in a path for a name to fill in. Rename the file or folder, for "
                f"example with ({found[0][1:-1]}) in its place."
            )


def check_files(settings: Mapping[str, Any], rows: Mapping[str, Row]) -> None:
    """Refuse a file that the configuration names and that is not there."""
    reference = settings["reference_results"]
    files = {"reference_results": str(_find_reference_results(reference)) if reference else None}
    for model, row in rows.items():
        if isinstance(row, Trained) and row.entry.encoder_weights != "imagenet":
            files[f"models.{model}.encoder_weights"] = row.entry.encoder_weights
    for key, path in files.items():
        refuse_links_to_nothing([Path(path)] if path else [], key)
        if path and not Path(path).is_file():
            raise UserError(f"{key}: there is no file {path}. Correct the path (relative to the working directory).")


def _find_reference_results(path: str) -> Path:
    """Return the file below the working directory, or else below the checkout, where the paper's numbers lie.

    A workflow that uses this one as a module has no copy of them.
    """
    with_us = CHECKOUT / path
    return with_us if with_us.is_file() and not Path(path).is_file() else Path(path)
