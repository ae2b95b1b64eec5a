"""The lesions of two masks, matched one to one, and how well the pairs agree.

A lesion is a connected component (26 neighbours). Two lesions match where their intersection over union exceeds a
threshold, so a mask that covers everything finds nothing. Source: Kirillov et al., Panoptic segmentation,
https://doi.org/10.1109/CVPR.2019.00963; for lesions Kofler et al., panoptica, https://doi.org/10.48550/arXiv.2312.02608.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

LOOSE, STRICT = 0.1, 0.5  # intersections over union that a match must exceed


@dataclass(frozen=True)
class Matching:
    """What became of the lesions at one threshold: iou: of each lesion that was found; missed, false: how many."""

    iou: np.ndarray
    missed: int
    false: int

    @property
    def found(self) -> int:
        """The lesions of the reference that have a partner."""
        return len(self.iou)

    @property
    def f1(self) -> float:
        """Lesion F1, which panoptic quality calls recognition quality; NaN where the reference has no lesion."""
        return self._over_lesions(2 * self.found, 2 * self.found + self.missed + self.false)

    @property
    def segmentation_quality(self) -> float:
        """The mean intersection over union of the pairs, 0 where there is none; NaN as for `f1`."""
        return self._over_lesions(float(self.iou.sum()), max(self.found, 1))

    @property
    def panoptic_quality(self) -> float:
        """F1 × segmentation quality; NaN as for `f1`."""
        return self.f1 * self.segmentation_quality

    @property
    def dice(self) -> float:
        """The mean Dice over all lesions: of a pair its own, of one missed or false 0; NaN as for `f1`."""
        pairs = float((2 * self.iou / (1 + self.iou)).sum())
        return self._over_lesions(pairs, self.found + self.missed + self.false)

    def _over_lesions(self, part: float, whole: float) -> float:
        return part / whole if self.found + self.missed else math.nan


@dataclass(frozen=True)
class Lesions:
    """The lesions of a reference and of a prediction (i, j, k), boolean, on the same grid.

    voxel_mm3: volume of a voxel; smallest_mm3: smaller lesions of the reference are dropped. They are neither found nor
    missed, and what matches one is not false; nor is a smaller lesion of the prediction, which may yet match one of the
    reference. So a lesion at the limit is not held against a model.
    """

    reference: np.ndarray
    prediction: np.ndarray
    voxel_mm3: float
    smallest_mm3: float

    @cached_property
    def counted(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether each lesion of the reference and of the prediction is large enough."""
        limit = self.smallest_mm3 * (1 - 1e-9)  # as many voxels as this volume has are enough, however it is rounded
        (_, ours), (_, theirs) = self._labelled
        return ours * self.voxel_mm3 >= limit, theirs * self.voxel_mm3 >= limit

    @property
    def dropped(self) -> int:
        """How many lesions of the reference are too small."""
        return int(np.count_nonzero(~self.counted[0]))

    def match(self, threshold: float) -> Matching:
        """Return the pairs of the greatest sum of intersections over union, each above `threshold`."""
        rows, columns, iou = self._overlaps
        near = iou > threshold
        (ours, row), (theirs, column) = (np.unique(ids[near], return_inverse=True) for ids in (rows, columns))
        table = np.zeros((len(ours), len(theirs)))
        table[row, column] = iou[near]
        row, column = linear_sum_assignment(table, maximize=True)
        matched = table[row, column] > 0
        row, column = row[matched], column[matched]
        large, large_predicted = self.counted
        found = large[ours[row]]
        alone = np.count_nonzero(large_predicted) - np.count_nonzero(large_predicted[theirs[column]])
        return Matching(table[row, column][found], int(np.count_nonzero(large) - found.sum()), int(alone))

    @cached_property
    def _labelled(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Of each mask the number of the lesion in each of its voxels, from 0, and the voxels of each lesion."""
        return _label(self.reference), _label(self.prediction)

    @cached_property
    def _overlaps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lesion of the reference, lesion of the prediction and intersection over union of all that touch."""
        (ours, sizes), (theirs, predicted) = self._labelled
        both = self.reference & self.prediction
        pairs = ours[both] * max(len(predicted), 1) + theirs[both]
        codes, common = np.unique(pairs, return_counts=True)
        row, column = np.divmod(codes, max(len(predicted), 1))
        return row, column, common / (sizes[row] + predicted[column] - common)


def _label(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return labels.astype(np.int64) - 1, np.bincount(labels[mask], minlength=count + 1)[1:]
