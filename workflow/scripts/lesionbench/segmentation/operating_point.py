"""The threshold and the smallest component kept: applied to probabilities, and chosen on validation studies.

Both are chosen by the mean Dice of the validation studies with lesion: the threshold first, of all that the levels kept
tell apart, then the smallest component at that threshold. The test studies are never looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from lesionbench.data.nifti import write_mask
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.volume import Volume, match_grid
from lesionbench.errors import UserError
from lesionbench.files import write_json
from lesionbench.progress import track
from lesionbench.schema import read_checked
from lesionbench.segmentation.ensemble import Member, average
from lesionbench.segmentation.point import VALIDATION, OperatingPoint
from lesionbench.segmentation.probabilities import LEVELS, THRESHOLDS, to_levels

FILE = "operating_point.json"  # in a run's folder
# Volumes in mm³ below which components may be left out; 0 keeps all.
SIZES = (0, *(digit * 10**power for power in range(5) for digit in (1, 2, 5)))
_TOUCHING = np.ones((3, 3, 3), bool)  # 26 neighbours, as the lesions that are scored
Load = Callable[[str], tuple[np.ndarray, np.ndarray, float]]


def write_lesion(probability: Volume, point: OperatingPoint, path: str | Path) -> float:
    """Write the mask at an operating point as NIfTI on the grid of a probability; return its volume in ml.

    Raises UserError, naming the file, where a probability is no number.
    """
    if not np.isfinite(probability.data).all():
        raise UserError(f"{path}: the model gives probabilities that are no numbers. Train it again.")
    mask = lesion_mask(probability.data, point, 1000 * probability.voxel_ml)
    write_mask(path, mask, probability.affine, probability.forms)
    return int(mask.sum(dtype=np.int64)) * probability.voxel_ml


def lesion_mask(probability: np.ndarray, point: OperatingPoint, voxel_mm3: float) -> np.ndarray:
    """Return the mask (i, j, k), boolean, that probabilities make at an operating point."""
    mask: np.ndarray = probability >= point.threshold
    if not point.min_component_mm3:
        return mask
    components, volumes = _components(mask, voxel_mm3)
    kept: np.ndarray = np.concatenate([[False], volumes >= point.min_component_mm3])[components]
    return kept


def _components(mask: np.ndarray, voxel_mm3: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the number (i, j, k) of the component of each voxel, 0 outside, and the volume of each in mm³."""
    components, count = ndimage.label(mask, _TOUCHING)
    return components, np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_mm3


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the mean Dice of the validation studies that it was chosen by.

    studies: those with lesion, which are judged; by_threshold, by_size: the mean Dice at each of `THRESHOLDS` and of
    `SIZES`, empty where that was given.
    """

    point: OperatingPoint
    studies: Sequence[str]
    by_threshold: np.ndarray
    by_size: np.ndarray


def choose(wanted: OperatingPoint, studies: Sequence[str], load: Load) -> Choice:
    """Choose what `wanted` leaves to the validation studies.

    load: returns of a study the levels of its probabilities (i, j, k), 0 to 255, its reference mask of the same shape,
    and the volume of a voxel in mm³; called twice a study where both are chosen. Of equal Dice the threshold nearest to
    0.5 and the smallest volume are taken.

    Raises UserError where no study has lesion.
    """
    by_threshold, by_size = np.empty(0), np.empty(0)
    judged = list(studies)
    if wanted.threshold == VALIDATION:
        curves = {study: _dice_by_threshold(*load(study)[:2]) for study in track(studies, "study", label="threshold")}
        by_threshold, judged = _mean(curves)
        best = np.lexsort((THRESHOLDS, abs(THRESHOLDS - 0.5), -by_threshold))[0]
        wanted = replace(wanted, threshold=float(THRESHOLDS[best]))
    if wanted.min_component_mm3 == VALIDATION:
        sizes = track(studies, "study", label="smallest component")
        curves = {study: _dice_by_size(float(wanted.threshold), *load(study)) for study in sizes}
        by_size, judged = _mean(curves)
        wanted = replace(wanted, min_component_mm3=SIZES[int(by_size.argmax())])
    return Choice(wanted, judged, by_threshold, by_size)


def _mean(curves: Mapping[str, np.ndarray | None]) -> tuple[np.ndarray, list[str]]:
    """Return the mean of the curves and the names of those that there are."""
    found = {study: curve for study, curve in curves.items() if curve is not None}
    if not found:
        raise UserError(
            "None of the validation studies has a lesion, so no operating point can be chosen by their Dice. Choose "
            "another split, or write:\n  evaluation: {threshold: 0.5, min_component_mm3: 0}"
        )
    return np.mean(list(found.values()), axis=0), list(found)


def _dice_by_threshold(levels: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
    """Return the Dice at each of `THRESHOLDS`, from one histogram each of lesion and of all; None without lesion."""
    lesion = reference.astype(bool)
    both, predicted = (np.bincount(part.ravel(), minlength=LEVELS + 1) for part in (levels[lesion], levels))
    at_least = [np.cumsum(counts[::-1])[::-1][1:] for counts in (both, predicted)]
    voxels = int(lesion.sum())
    return 2 * at_least[0] / (at_least[1] + voxels) if voxels else None


def _dice_by_size(threshold: float, levels: np.ndarray, reference: np.ndarray, voxel_mm3: float) -> np.ndarray | None:
    """Return the Dice with components from each of `SIZES` on; None without lesion."""
    lesion = reference.astype(bool)
    components, volumes = _components(levels >= threshold * LEVELS, voxel_mm3)
    both = np.bincount(components[lesion], minlength=len(volumes) + 1)[1:]
    kept = np.array([volumes >= size for size in SIZES])
    voxels = int(lesion.sum())
    return 2 * (kept @ both) / (kept @ volumes / voxel_mm3 + voxels) if voxels else None


def write_choice(choice: Choice, path: str | Path) -> None:
    """Write an operating point and the curves that it was chosen by, as JSON."""
    record: dict[str, Any] = {
        "threshold": choice.point.threshold,
        "min_component_mm3": choice.point.min_component_mm3,
        "studies": list(choice.studies),
    }
    if len(choice.by_threshold):
        record["by_threshold"] = {"threshold": THRESHOLDS.tolist(), "dice": choice.by_threshold.tolist()}
    if len(choice.by_size):
        record["by_min_component_mm3"] = {"min_component_mm3": list(SIZES), "dice": choice.by_size.tolist()}
    write_json(path, record, indent=1)


def read_point(path: str | Path) -> OperatingPoint:
    """Return the operating point that `write_choice` wrote. Raises UserError as `read_choice` does."""
    record = read_choice(path)
    return OperatingPoint(float(record["threshold"]), float(record["min_component_mm3"]))


def read_choice(path: str | Path) -> dict[str, Any]:
    """Return all that `write_choice` wrote. Raises UserError, naming the file, where it is missing or damaged."""
    try:
        return read_checked(path, "operating_point")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: this is no operating point ({error}). Delete it and run the workflow again."
        ) from error


def find_point(wanted: Mapping[str, Any], chosen: Sequence[str | Path]) -> OperatingPoint | None:
    """Return the operating point of a run: the one wanted, or the mean of those chosen; None where none is wanted.

    Several are those of an ensemble's folds, where probabilities are averaged over folds too.
    """
    if not chosen:
        return OperatingPoint(**wanted) if wanted else None
    points = [asdict(read_point(path)) for path in chosen]
    return OperatingPoint(**{key: float(np.mean([point[key] for point in points])) for key in points[0]})


def loader(members: Sequence[Member], references: Mapping[str, str | Path], reading: Reading) -> Load:
    """Return what `choose` loads studies with: the mean of members' probabilities, and the references of studies."""

    def load(study: str) -> tuple[np.ndarray, np.ndarray, float]:
        probability = average(members, study, reading)
        reference = match_grid(study, probability, read_mask(references[study], reading), names=("prediction", "mask"))
        return to_levels(probability.data), reference.data, 1000 * probability.voxel_ml

    return load
