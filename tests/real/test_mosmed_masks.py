"""The fifty published masks of MosMedData and its registry of 1,110 studies, without any CT."""

import pytest

from lesionbench.data.inventory import class_counts, inventory, read_registry
from lesionbench.data.scans import read_mask
from lesionbench.data.studies import DataSet, find_studies
from lesionbench.evaluation.metrics import MaskPair
from lesionbench.evaluation.scoring import Scoring


@pytest.fixture(scope="module")
def root(test_data):
    folder = test_data / "mosmed-masks"
    if not folder.exists():
        pytest.skip(f"{folder} is not here")
    return folder


@pytest.fixture(scope="module")
def table(root):
    return inventory(find_studies(DataSet(root)), root, read_registry(root), threads=2).table


def test_the_masks_have_the_papers_axial_slices(table):
    assert len(table) == 50
    assert table["axial_slices"].sum() == 2049
    assert table["coronal_slices"].sum() == 25600
    assert table["lesion_slices"].sum() == 785


def test_lesion_volumes_are_as_measured(table):
    volumes = table["lesion_ml"]
    assert [volumes.min(), volumes.median(), volumes.max()] == pytest.approx([0.38, 66, 535], rel=0.01)


def test_class_counts_are_the_papers(root, table):
    counts = class_counts(table, read_registry(root))
    assert counts["studies"].tolist() == [254, 684, 125, 45, 2]
    assert counts["studies"].tolist() == counts["paper_studies"].tolist()
    assert counts["annotated"].tolist() == [0, 50, 0, 0, 0]


def test_the_smallest_lesion_drops_single_spots_and_leaves_every_study_a_lesion(root):
    kept, dropped = 0, 0
    for study in find_studies(DataSet(root)):
        mask = read_mask(study.mask)
        lesions = MaskPair(mask, mask, "axial", Scoring()).lesions
        found = lesions.match(0.5)
        assert found.found and found.missed == found.false == 0 and found.panoptic_quality == 1
        kept, dropped = kept + found.found, dropped + lesions.dropped
    assert [kept, dropped] == [1711, 1276]
