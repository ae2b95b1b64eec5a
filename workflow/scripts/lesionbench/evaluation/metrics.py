"""How well a predicted lesion mask agrees with the reference, per study and per slice.

Where the reference holds no lesion, all scores of overlap, surface and lesions are undefined (NaN), and the volume that
is predicted there is a score of its own. Where the reference holds lesion and the prediction none, each of them has its
worst value: to predict nothing must not raise a mean. Definitions follow Maier-Hein et al., Metrics reloaded,
https://doi.org/10.1038/s41592-023-02151-z.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
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
from lesionbench.evaluation.lesions import LOOSE, STRICT, Lesions, Matching
from lesionbench.evaluation.scoring import Scoring
from lesionbench.progress import track


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
    def nothing_predicted(self) -> bool:
        """Whether the reference holds lesion and the prediction none."""
        return self.voxels > 0 and self.predicted == 0

    @cached_property
    def surfaces(self) -> tuple[float, float]:
        """The 95th percentile Hausdorff distance and the surface Dice (`surface_scores`).

        Where nothing of a lesion is predicted, the image's diagonal and 0.
        """
        spacing = self.reference.spacing
        if self.nothing_predicted:
            return float(np.linalg.norm(spacing * self.reference.data.shape)), 0.0
        return surface_scores(*self.box, spacing[::-1], self.scoring.surface_tolerance_mm)

    @cached_property
    def lesions(self) -> Lesions:
        """The lesions of both masks."""
        return Lesions(*self.box, 1000 * self.reference.voxel_ml, self.scoring.min_lesion_mm3)

    @cached_property
    def loose(self) -> Matching:
        """The lesions matched at an intersection over union above 0.1."""
        return self.lesions.match(LOOSE)

    @cached_property
    def strict(self) -> Matching:
        """The same above 0.5."""
        return self.lesions.match(STRICT)

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

    def of_lesion(self, part: float, whole: float) -> float:
        """Return a share, NaN where the reference holds no lesion, 0 where the prediction holds none."""
        return math.nan if not self.voxels else part / whole if whole else 0.0

    def of_empty(self, value: float) -> float:
        """Return a score of a study without lesion in the reference, NaN of any other."""
        return math.nan if self.voxels else value


@dataclass(frozen=True)
class Metric:
    """A score of a study.

    name: its column in files; header and digits: in tables; better: the direction that is, None where neither is;
    compute: its value, NaN where it is undefined; table: the table that shows its mean; signed: whether a sign belongs
    to it. `docs/metrics.md` describes each.
    """

    name: str
    header: str
    digits: int
    better: Literal["higher", "lower"] | None
    compute: Callable[[MaskPair], float]
    table: Literal["metrics", "volumes", "lesions"] = "metrics"
    signed: bool = False


_of_volume = partial(Metric, table="volumes")
_by_lesion = partial(Metric, table="lesions")

METRICS = (
    Metric("dice", "Dice", 3, "higher", lambda pair: pair.of_lesion(2 * pair.both, pair.voxels + pair.predicted)),
    Metric("precision", "Precision", 3, "higher", lambda pair: pair.of_lesion(pair.both, pair.predicted)),
    Metric("recall", "Recall", 3, "higher", lambda pair: pair.of_lesion(pair.both, pair.voxels)),
    Metric("hd95_mm", "HD95 (mm)", 1, "lower", lambda pair: pair.surfaces[0]),
    Metric("surface_dice", "Surface Dice", 3, "higher", lambda pair: pair.surfaces[1]),
    Metric(
        "nothing_predicted",
        "Nothing predicted",
        2,
        "lower",
        lambda pair: float(pair.nothing_predicted) if pair.voxels else math.nan,
    ),
    _of_volume("reference_ml", "Reference (ml)", 1, None, lambda pair: pair.ml(pair.voxels)),
    _of_volume("predicted_ml", "Predicted (ml)", 1, None, lambda pair: pair.ml(pair.predicted)),
    _of_volume(
        "volume_difference_ml",
        "Volume difference (ml)",
        1,
        None,
        lambda pair: pair.ml(pair.predicted - pair.voxels),
        signed=True,
    ),
    _of_volume(
        "relative_volume_difference",
        "Relative volume difference",
        2,
        None,
        lambda pair: _ratio(pair.predicted - pair.voxels, pair.voxels),
        signed=True,
    ),
    _of_volume(
        "absolute_volume_difference_ml",
        "Absolute volume difference (ml)",
        1,
        "lower",
        lambda pair: pair.ml(abs(pair.predicted - pair.voxels)),
    ),
    Metric(
        "false_positive_ml",
        "False positive (ml)",
        1,
        "lower",
        lambda pair: pair.of_empty(pair.ml(pair.predicted)),
    ),
    Metric(
        "any_false_positive",
        "Any false positive",
        2,
        "lower",
        lambda pair: pair.of_empty(float(pair.predicted > 0)),
    ),
    Metric("false_slices", "False slices", 1, "lower", lambda pair: len(pair.false_slices)),
    Metric("false_slices_ml", "False slices (ml)", 1, "lower", lambda pair: pair.ml(sum(pair.false_slices))),
    _by_lesion("lesions_reference", "Lesions", 1, None, lambda pair: pair.loose.found + pair.loose.missed),
    _by_lesion("lesions_dropped", "Dropped", 1, None, lambda pair: pair.lesions.dropped),
    _by_lesion("lesions_found", "Found", 1, "higher", lambda pair: pair.loose.found),
    _by_lesion("lesions_missed", "Missed", 1, "lower", lambda pair: pair.loose.missed),
    _by_lesion("lesions_false", "False", 1, "lower", lambda pair: pair.loose.false),
    _by_lesion("lesion_dice", "Lesion Dice", 3, "higher", lambda pair: pair.loose.dice),
    _by_lesion("lesion_f1", "Lesion F1", 3, "higher", lambda pair: pair.loose.f1),
    _by_lesion("lesion_sq", "SQ", 3, "higher", lambda pair: pair.loose.segmentation_quality),
    _by_lesion("lesion_pq", "PQ", 3, "higher", lambda pair: pair.loose.panoptic_quality),
    _by_lesion("lesion_f1_strict", "Strict F1", 3, "higher", lambda pair: pair.strict.f1),
    _by_lesion("lesion_sq_strict", "Strict SQ", 3, "higher", lambda pair: pair.strict.segmentation_quality),
    _by_lesion("lesion_pq_strict", "Strict PQ", 3, "higher", lambda pair: pair.strict.panoptic_quality),
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
    for study, path in track(references.items(), "study"):
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
