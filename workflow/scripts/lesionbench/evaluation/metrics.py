"""How well a predicted lesion mask agrees with the reference, per study and per slice.

What is undefined is NaN, never 0 or 1: Dice where both masks are empty, precision where nothing is predicted, recall
where there is no lesion, surface metrics where either mask is empty. A study whose lesions are all missed has Dice 0.
Definitions follow Maier-Hein et al., Metrics reloaded, https://doi.org/10.1038/s41592-023-02151-z.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import KDTree

from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.studies import find_prediction
from lesionbench.data.volume import Volume, match_grid, to_slices
from lesionbench.errors import UserError
from lesionbench.evaluation.scoring import Scoring


@dataclass(frozen=True)
class MaskPair:
    """Two masks {0, 1} on the same grid, and what several metrics need of them, each computed once.

    plane: of the slices in which false positives are counted.
    """

    reference: Volume
    prediction: Volume
    plane: str
    scoring: Scoring

    @cached_property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Reference and prediction (k, j, i), boolean, in the smallest box that holds both: the rest is background.

        Transposed, the arrays of a NIfTI file are C-contiguous, which halves SciPy's time.
        """
        masks = [mask.data.astype(bool) for mask in (self.reference, self.prediction)]
        box = _box(masks[0] | masks[1])
        lesion, found = (np.ascontiguousarray(mask[box].T) for mask in masks)
        return lesion, found

    @cached_property
    def voxels(self) -> int:
        """Lesion voxels of the reference."""
        return int(np.count_nonzero(self.box[0]))

    @cached_property
    def predicted(self) -> int:
        """Lesion voxels of the prediction."""
        return int(np.count_nonzero(self.box[1]))

    @cached_property
    def both(self) -> int:
        """Voxels that are lesion in both."""
        return int(np.count_nonzero(self.box[0] & self.box[1]))

    @cached_property
    def surfaces(self) -> tuple[float, float]:
        """The 95th percentile Hausdorff distance and the surface Dice (`surface_scores`)."""
        return surface_scores(*self.box, self.reference.spacing[::-1], self.scoring.surface_tolerance_mm)

    @cached_property
    def lesions(self) -> dict[str, int]:
        """How many lesions there are (`lesion_counts`)."""
        return lesion_counts(*self.box, self.scoring.min_lesion_voxels)

    @cached_property
    def slices(self) -> list[dict[str, float]]:
        """Index, voxels and Dice of each slice of the plane."""
        a, b = (mask.data.astype(bool) for mask in (self.reference, self.prediction))
        return _slice_scores(a, b, self.reference.affine, self.plane)

    @cached_property
    def false_slices(self) -> list[float]:
        """Predicted voxels in each slice that holds a prediction, and no lesion in the reference."""
        rows = [row for row in self.slices if row["predicted_voxels"] and not row["reference_voxels"]]
        return [row["predicted_voxels"] for row in rows]

    def ml(self, voxels: float) -> float:
        """Return the volume of a number of voxels in millilitres."""
        return voxels * self.reference.voxel_ml


@dataclass(frozen=True)
class Metric:
    """A score of a study.

    name: its column in files; header and digits: in tables; better: the direction that is, None where neither is;
    compute: its value, NaN where it is undefined. `docs/metrics.md` describes each.
    """

    name: str
    header: str
    digits: int
    better: Literal["higher", "lower"] | None
    compute: Callable[[MaskPair], float]


METRICS = (
    Metric("dice", "Dice", 3, "higher", lambda pair: _ratio(2 * pair.both, pair.voxels + pair.predicted)),
    Metric("precision", "Precision", 3, "higher", lambda pair: _ratio(pair.both, pair.predicted)),
    Metric("recall", "Recall", 3, "higher", lambda pair: _ratio(pair.both, pair.voxels)),
    Metric("hd95_mm", "HD95 (mm)", 1, "lower", lambda pair: pair.surfaces[0]),
    Metric("surface_dice", "Surface Dice", 3, "higher", lambda pair: pair.surfaces[1]),
    Metric("reference_ml", "Reference (ml)", 1, None, lambda pair: pair.ml(pair.voxels)),
    Metric("predicted_ml", "Predicted (ml)", 1, None, lambda pair: pair.ml(pair.predicted)),
    Metric(
        "volume_difference_ml",
        "Volume difference (ml)",
        1,
        "lower",
        lambda pair: pair.ml(abs(pair.predicted - pair.voxels)),
    ),
    Metric("lesions_reference", "Lesions", 1, None, lambda pair: pair.lesions["lesions_reference"]),
    Metric("lesions_found", "Found", 1, "higher", lambda pair: pair.lesions["lesions_found"]),
    Metric("lesions_missed", "Missed", 1, "lower", lambda pair: pair.lesions["lesions_missed"]),
    Metric("lesions_false", "False", 1, "lower", lambda pair: pair.lesions["lesions_false"]),
    Metric("false_slices", "False slices", 1, "lower", lambda pair: len(pair.false_slices)),
    Metric("false_slices_ml", "False slices (ml)", 1, "lower", lambda pair: pair.ml(sum(pair.false_slices))),
)


def evaluate(
    references: Mapping[str, str | Path],
    predictions: str | Path,
    plane: str,
    scoring: Scoring,
    reading: Reading = AS_IS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the masks in a folder (`studies.find_prediction`) with the references, by the study's name.

    `reading` says how the references are read.

    Returns the METRICS of each study, and index, voxels and Dice of each slice of `plane`, both led by column `study`.
    Raises one UserError that lists every prediction that is missing, unreadable or on another grid.
    """
    by_study: list[dict[str, Any]] = []
    by_slice: list[dict[str, Any]] = []
    problems = []
    for study, path in references.items():
        try:
            reference = read_mask(path, reading)
            prediction = _read_prediction(study, find_prediction(predictions, study), reading.predicted)
            prediction = match_grid(study, reference, prediction, names=("reference", "prediction"))
        except UserError as error:
            problems.append(str(error))
            continue
        pair = MaskPair(reference, prediction, plane, scoring)
        by_study.append({"study": study} | evaluate_study(pair))
        by_slice.extend({"study": study} | row for row in pair.slices)
    if problems:
        raise UserError("\n".join(problems))
    return pd.DataFrame(by_study), pd.DataFrame(by_slice)


def evaluate_study(pair: MaskPair) -> dict[str, float]:
    """Return the value of each of METRICS by its name."""
    return {metric.name: metric.compute(pair) for metric in METRICS}


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
    # A distance is a root, whose last digits are rounded: 3 mm must be within 3 mm.
    return float(hd95), float(np.mean(np.concatenate([there, back]) <= tolerance * (1 + 1e-9)))


def _surface_points(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the surface voxels (n, 3) of a mask in mm."""
    points: np.ndarray = np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing
    return points


def lesion_counts(reference: np.ndarray, prediction: np.ndarray, min_voxels: int) -> dict[str, int]:
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


def _read_prediction(study: str, path: Path, reading: Reading) -> Volume:
    if not path.is_file():
        raise UserError(f"{study}: its prediction {path} is missing. Predict it, or name the file as the study.")
    return read_mask(path, reading)


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask; an empty mask has an empty box."""
    axes = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(hits[0], hits[-1] + 1) if hits.size else slice(0) for hits in axes)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
