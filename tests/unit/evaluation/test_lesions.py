"""Lesions are matched one to one, small ones are held against nobody, and panoptica counts the same."""

import math

import numpy as np
import pytest
from scipy import ndimage

from lesionbench.evaluation.lesions import LOOSE, STRICT, Lesions


def line(length, *marked):
    mask = np.zeros((length, 1, 1), dtype=bool)
    mask[list(marked)] = True
    return mask


def blobs(seed):
    """A mask of some fifty lesions, and the same with other borders."""
    random = np.random.default_rng(seed)
    field, noise = (ndimage.uniform_filter(random.random((24, 24, 12)), 3) for _ in range(2))
    return field > 0.56, field + 0.5 * noise > 0.81


def match(reference, prediction, threshold=LOOSE, smallest=0.0, voxel=1.0):
    return Lesions(reference, prediction, voxel, smallest).match(threshold)


# One predicted lesion lies on both of the reference; taken for the first, which it fits best, it would leave the second
# without a partner.
SHARED = (line(20, *range(10), *range(11, 17)), line(20, *range(3), *range(4, 15)))
# Found, missed, false, RQ, SQ, PQ, and the mean Dice of the pairs. Source: panoptica 2.1.7, MaxBipartiteMatching by IoU
# with a strict threshold, on scipy.ndimage's components of 26 neighbours.
PANOPTICA = {
    (0, LOOSE): (24, 32, 14, 0.5106382978723404, 0.5407510372513573, 0.27612818923473564, 0.659067314899576),
    (0, STRICT): (11, 45, 27, 0.23404255319148937, 0.7808684245047882, 0.18275643977771638, 0.8633824787378775),
    (1, LOOSE): (18, 19, 16, 0.5070422535211268, 0.528236238830554, 0.26783809292816824, 0.6704684459467312),
    (1, STRICT): (6, 31, 28, 0.16901408450704225, 0.751953601953602, 0.1270907496259609, 0.8527777777777779),
    (2, LOOSE): (26, 20, 13, 0.611764705882353, 0.6358757778889472, 0.3890063582379442, 0.7390308918710384),
    (2, STRICT): (15, 31, 24, 0.35294117647058826, 0.8370055161544523, 0.2954137115839244, 0.8992095092549431),
    ("shared", LOOSE): (2, 0, 0, 1.0, 0.3038461538461539, 0.3038461538461539, 0.4660633484162896),
    ("shared", STRICT): (0, 2, 2, 0.0, 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize(("masks", "threshold"), PANOPTICA)
def test_panoptica_agrees(masks, threshold):
    matching = match(*(SHARED if masks == "shared" else blobs(masks)), threshold)
    found, missed, false, *scores, pairs_dice = PANOPTICA[masks, threshold]
    assert [matching.found, matching.missed, matching.false] == [found, missed, false]
    assert [matching.f1, matching.segmentation_quality, matching.panoptic_quality] == pytest.approx(scores)
    assert matching.dice == pytest.approx(pairs_dice * found / (found + missed + false))


def test_a_mask_of_everything_finds_nothing():
    reference = np.zeros((20, 20, 10), dtype=bool)
    reference[2:4, 2:4, 2:4] = reference[10:12, 10:13, 5] = reference[16, 16, 1:6] = True
    matching = match(reference, np.ones_like(reference))
    assert [matching.found, matching.missed, matching.false] == [0, 3, 1]
    assert [matching.f1, matching.panoptic_quality, matching.dice] == [0, 0, 0]


def test_a_share_that_only_equals_the_threshold_is_no_match():
    assert match(line(10, *range(10)), line(10, 3), LOOSE).found == 0
    assert match(line(10, *range(10)), line(10, *range(5)), STRICT).found == 0
    assert match(line(10, *range(10)), line(10, 3, 4), LOOSE).found == 1
    assert match(line(10, *range(10)), line(10, *range(6)), STRICT).iou == pytest.approx([0.6])


def test_voxels_that_share_a_corner_are_one_lesion():
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[range(3), range(3), range(3)] = True
    assert match(mask, mask).found == 1


def test_small_lesions_are_neither_missed_nor_false():
    # From the left: small and not predicted; small, and a large one matches it; small and false; large, and a small one
    # matches it; large and missed; large and false.
    reference = line(60, 0, *range(5, 8), *range(20, 24), *range(30, 35))
    prediction = line(60, *range(5, 9), 15, *range(20, 23), *range(40, 46))
    lesions = Lesions(reference, prediction, voxel_mm3=2, smallest_mm3=8)
    assert lesions.dropped == 2
    matching = lesions.match(STRICT)
    assert [matching.found, matching.missed, matching.false] == [1, 1, 1]
    assert matching.f1 == 0.5


@pytest.mark.parametrize("voxel", [0.1, 0.3, 2.8, 1 / 3])
def test_a_lesion_of_just_the_smallest_volume_counts(voxel):
    lesion = line(9, *range(7))
    assert Lesions(lesion, lesion, voxel, 7 * voxel).dropped == 0
    assert Lesions(lesion, lesion, voxel, 7 * voxel * (1 + 1e-6)).dropped == 1


def test_without_a_lesion_to_find_nothing_is_defined_but_the_false_ones():
    matching = match(line(9), line(9, 4, 5))
    assert [matching.found, matching.missed, matching.false] == [0, 0, 1]
    scores = [matching.f1, matching.segmentation_quality, matching.panoptic_quality, matching.dice]
    assert all(math.isnan(score) for score in scores)
    empty = np.zeros((0, 0, 0), dtype=bool)
    assert math.isnan(match(empty, empty).f1)
