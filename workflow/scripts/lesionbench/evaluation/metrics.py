"""How well a predicted lesion mask agrees with the reference, per study and per slice.

What is undefined is NaN, never 0 or 1: Dice where both masks are empty, precision where nothing is predicted, recall
where there is no lesion, surface metrics where either mask is empty. Lesions that are missed altogether have Dice 0.
Definitions follow Maier-Hein et al., Metrics reloaded, https://doi.org/10.1038/s41592-023-02151-z.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import KDTree

from lesionbench.data.studies import find_prediction
from lesionbench.data.volume import Volume, match_grid, read_mask, to_slices
from lesionbench.errors import UserError


def evaluate(
    studies: Sequence[str],
    references: Sequence[str | Path],
    predictions: str | Path,
    plane: str,
    evaluation: Mapping,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the masks in a folder (`dataset.find_prediction`) with the references, which are in the studies' order.

    Returns the scores a study and the scores a slice of `plane`, as `evaluate_study` does, each led by column `study`.
    Raises one UserError that lists every prediction that is missing, unreadable or on another grid.
    """
    by_study: list[dict] = []
    by_slice: list[dict] = []
    problems = []
    for study, path in zip(studies, references, strict=True):
        try:
            reference = read_mask(path)
            prediction = _read_prediction(study, find_prediction(predictions, study))
            prediction = match_grid(study, reference, prediction, names=("reference", "prediction"))
        except UserError as error:
            problems.append(str(error))
            continue
        scores, slices = evaluate_study(reference, prediction, plane, evaluation)
        by_study.append({"study": study} | scores)
        by_slice.extend({"study": study} | row for row in slices)
    if problems:
        raise UserError("\n".join(problems))
    return pd.DataFrame(by_study), pd.DataFrame(by_slice)


def evaluate_study(
    reference: Volume, prediction: Volume, plane: str, evaluation: Mapping
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Score two masks {0, 1} on the same grid.

    Returns the scores of the volume, and for each slice of `plane` its index, voxels and Dice. Of `evaluation` it reads
    `surface_tolerance_mm` and `min_lesion_voxels`. A false slice holds a prediction, and no lesion in the reference.
    """
    a, b = reference.data.astype(bool), prediction.data.astype(bool)
    box = _box(a | b)
    # The box alone matters; transposed, the arrays of a NIfTI file are C-contiguous, which halves SciPy's time.
    lesion, found = (np.ascontiguousarray(mask[box].T) for mask in (a, b))
    voxels, predicted, both = (int(np.count_nonzero(mask)) for mask in (lesion, found, lesion & found))
    tolerance = evaluation["surface_tolerance_mm"]
    hd95, surface_dice = surface_scores(lesion, found, reference.spacing[::-1], tolerance)
    scores = {
        "dice": _ratio(2 * both, voxels + predicted),
        "precision": _ratio(both, predicted),
        "recall": _ratio(both, voxels),
        "hd95_mm": hd95,
        "surface_dice": surface_dice,
        "reference_ml": voxels * reference.voxel_ml,
        "predicted_ml": predicted * reference.voxel_ml,
        "volume_difference_ml": abs(predicted - voxels) * reference.voxel_ml,
    }
    scores |= lesion_counts(lesion, found, evaluation["min_lesion_voxels"])
    slices = _slice_scores(a, b, reference.affine, plane)
    false = [row["predicted_voxels"] for row in slices if row["predicted_voxels"] and not row["reference_voxels"]]
    scores |= {"false_slices": len(false), "false_slices_ml": sum(false) * reference.voxel_ml}
    return scores, slices


def surface_scores(
    reference: np.ndarray, prediction: np.ndarray, spacing: np.ndarray, tolerance: float
) -> tuple[float, float]:
    """Return the 95th percentile Hausdorff distance in mm and the surface Dice at `tolerance` mm.

    The surface of a boolean mask (i, j, k) is its voxels with a background face neighbour; what lies outside the array
    is background. HD95 is the larger of the two directed percentiles; surface Dice is the share of both surfaces'
    voxels that lie within the tolerance of the other (https://doi.org/10.2196/26151). The tests hold them against
    MONAI's `compute_hausdorff_distance` and `compute_surface_dice`, whose import alone takes longer than a job does.
    """
    if not reference.any() or not prediction.any():
        return math.nan, math.nan
    surfaces = [_surface_points(mask, spacing) for mask in (reference, prediction)]
    there, back = (KDTree(other).query(surface)[0] for surface, other in (surfaces, surfaces[::-1]))
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    # The distance between two voxels, as a root, is off in its last digits: 3 mm must be within 3 mm.
    return float(hd95), float(np.mean(np.concatenate([there, back]) <= tolerance * (1 + 1e-9)))


def _surface_points(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the surface voxels (n, 3) of a mask in mm."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing


def lesion_counts(reference: np.ndarray, prediction: np.ndarray, min_voxels: int) -> dict[str, float]:
    """Count lesions, the components (26 neighbours) of at least `min_voxels` voxels.

    A lesion of the reference is found if any of its voxels is predicted, else missed. One of the prediction is false
    if none of its voxels is in the reference; the reference's smaller components count as reference here.
    """
    lesions, found = _touched(reference, prediction, min_voxels)
    predicted, right = _touched(prediction, reference, min_voxels)
    return {
        "lesions_reference": lesions,
        "lesions_found": found,
        "lesions_missed": lesions - found,
        "lesions_false": predicted - right,
    }


def _touched(mask: np.ndarray, other: np.ndarray, min_voxels: int) -> tuple[int, int]:
    """Return how many components of `mask` are large enough, and how many of these overlap `other`."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    labels = labels[mask]
    large = np.bincount(labels, minlength=count + 1) >= min_voxels
    overlap = np.bincount(labels[other[mask]], minlength=count + 1) > 0
    # Label 0 is the background, which holds none of these voxels.
    return int(large[1:].sum()), int((large & overlap)[1:].sum())


def _slice_scores(a: np.ndarray, b: np.ndarray, affine: np.ndarray, plane: str) -> list[dict[str, float]]:
    voxels, predicted, both = (
        np.count_nonzero(to_slices(mask, affine, plane), axis=(1, 2)).tolist() for mask in (a, b, a & b)
    )
    return [
        {"slice": index, "reference_voxels": r, "predicted_voxels": p, "dice": _ratio(2 * overlap, r + p)}
        for index, (r, p, overlap) in enumerate(zip(voxels, predicted, both, strict=True))
    ]


def _read_prediction(study: str, path: Path) -> Volume:
    if not path.is_file():
        raise UserError(f"{study}: its prediction {path} is missing. Predict it, or name the file as the study.")
    return read_mask(path)


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask; an empty mask has an empty box."""
    axes = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(hits[0], hits[-1] + 1) if hits.size else slice(0) for hits in axes)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
