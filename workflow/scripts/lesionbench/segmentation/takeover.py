"""What a program of another's has left: each mask checked and written as the project's own are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesionbench.data.frames import read_frame, write_frame
from lesionbench.data.nifti import read_forms, read_voxels, write_mask
from lesionbench.data.reading import is_nifti
from lesionbench.data.scans import read_header, read_mask
from lesionbench.data.volume import Volume, match_grid
from lesionbench.errors import UserError
from lesionbench.progress import track
from lesionbench.schema import read_checked
from lesionbench.segmentation.probabilities import FOLDER, SECONDS, probability_path, write_probability
from lesionbench.training.handover import HandedStudy
from lesionbench.words import counted, first_few


def take_masks(key: str, studies: Sequence[HandedStudy], source: Path, target: Path) -> None:
    """Write the masks that a program left in `source`, of the studies of one subset, to `target`, on the CTs' grids.

    With them come its probabilities, where it left any, and the seconds that each study took, NaN where it left none.

    Raises UserError, naming the configuration's key, the study and its file, where a mask is missing, cannot be read,
    lies on another grid than the CT, or holds other labels than 0 and 1; where a probability is not from 0 to 1.
    """
    _check_complete(key, "mask", {study.name: source / f"{study.name}.nii.gz" for study in studies})
    probabilities = {study.name: probability_path(source, study.name) for study in studies}
    kept = (source / FOLDER).is_dir()
    if kept:
        _check_complete(key, "probabilities", probabilities)
    for study in track(studies, "study", label=target.name):
        grid = read_header(study.ct, study.reading)
        forms = read_forms(study.ct, study.reading.geometry) if is_nifti(study.ct) else None
        mask = read_mask(source / f"{study.name}.nii.gz", study.reading.predicted)
        mask = match_grid(study.name, grid, mask, names=("CT", "prediction"))
        write_mask(target / f"{study.name}.nii.gz", mask.data, grid.affine, forms)
        if kept:
            lesion = _read_probability(key, study.name, probabilities[study.name])
            lesion = match_grid(study.name, grid, lesion, names=("CT", "probabilities"))
            write_probability(Volume(lesion.data, grid.affine, forms), probability_path(target, study.name))
    write_frame(_seconds(source / SECONDS, [study.name for study in studies]), target / SECONDS)


def read_left_record(key: str, path: Path) -> dict[str, Any]:
    """Return the record.json that a program left, empty where it left none.

    Raises UserError where it is not as workflow/schemas/method_record.schema.yaml says.
    """
    if not path.is_file():
        return {}
    try:
        return read_checked(path, "method_record")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{key}: {path}, which the program left, is no record ({error}). See docs/methods.md."
        ) from None


def _check_complete(key: str, what: str, files: Mapping[str, Path]) -> None:
    missing = [study for study, path in files.items() if not path.is_file()]
    if missing:
        raise UserError(
            f"{key}: the program ended without an error and left no {what} of {len(missing)} of "
            f"{counted(len(files), 'study')} ({first_few(missing)}): {files[missing[0]]} and so on. It must leave one "
            "for each line of studies.csv whose subset is not train."
        )


def _read_probability(key: str, study: str, path: Path) -> Volume:
    volume = read_voxels(path)
    low, high = float(volume.data.min()), float(volume.data.max())
    if low < -1e-3 or high > 1 + 1e-3:
        raise UserError(
            f"{key}: {study}: {path} holds values from {low:g} to {high:g}. Probabilities are from 0 to 1; whole "
            "numbers from 0 to 255 need a scl_slope of 1/255 in the header."
        )
    return Volume(np.clip(volume.data, 0, 1, dtype=np.float32), volume.affine)


def _seconds(path: Path, studies: Sequence[str]) -> pd.DataFrame:
    seconds = read_frame(path).set_index("study")["seconds"] if path.is_file() else pd.Series(dtype=float)
    return seconds.reindex(list(studies)).rename_axis("study").reset_index(name="seconds")
