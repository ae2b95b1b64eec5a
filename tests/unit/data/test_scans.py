import logging

import numpy as np
import pytest

from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.errors import UserError
from oriented import save

WINDOW = Reading(intensity={"window": [-500, 1500]})


def column(*values, dtype=np.int16):
    """A volume of these voxels along its first axis."""
    return np.array(values, dtype)[:, None, None]


@pytest.mark.parametrize(
    ("labels", "lesion"),
    [([3], [0, 0, 0, 1]), ([2, 3], [0, 0, 1, 1]), ([1], [0, 1, 0, 0]), ([1, 9], [0, 1, 0, 0]), ([9], [0, 0, 0, 0])],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_the_labels_that_are_lesion_are_joined_and_all_others_are_background(tmp_path, labels, lesion, dtype):
    path = save(tmp_path / "mask.nii.gz", column(0, 1, 2, 3, dtype=dtype))
    mask = read_mask(path, Reading(lesion_labels=labels)).data
    assert mask.dtype == np.uint8 and mask.ravel().tolist() == lesion


def test_a_label_255_can_be_named(tmp_path, caplog):
    path = save(tmp_path / "mask.nii.gz", column(0, 1, 255))
    assert read_mask(path, Reading(lesion_labels=[255])).data.ravel().tolist() == [0, 0, 1]
    assert not caplog.records


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 2, 2), (0, 1, 255), (0, 0.5, 1)])
def test_where_no_labels_are_named_any_other_than_0_and_1_is_refused(tmp_path, values):
    path = save(tmp_path / "mask.nii.gz", column(*values, dtype=np.float32))
    with pytest.raises(UserError, match=r"mask\.nii\.gz: a mask holds the labels 0 .* dataset\.lesion_labels can say"):
        read_mask(path)


def test_labels_that_a_rounded_slope_leaves_beside_whole_numbers_are_these_numbers(tmp_path):
    path = save(tmp_path / "mask.nii.gz", column(0, 0.9998, 1.9997, 3, dtype=np.float32))
    assert read_mask(path, Reading(lesion_labels=[2])).data.ravel().tolist() == [0, 0, 1, 0]


def test_labels_between_whole_numbers_are_refused_whatever_is_lesion(tmp_path):
    path = save(tmp_path / "mask.nii.gz", column(0, 0.5, 2, dtype=np.float32))
    with pytest.raises(UserError, match=r"mask\.nii\.gz: labels are whole numbers, and this mask holds 0, 0\.5, 2\."):
        read_mask(path, Reading(lesion_labels=[2]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_grey_values_of_a_window_become_hu(tmp_path, caplog, dtype):
    with caplog.at_level(logging.WARNING):
        ct = read_ct(save(tmp_path / "ct.nii.gz", column(0, 51, 128, 255, dtype=dtype)), WINDOW)
    assert ct.data.dtype == np.int16 and ct.data.ravel().tolist() == [-1250, -950, -497, 250]
    assert "ct.nii.gz: its grey values 0 to 255 are read as -1250 to 250 HU" in caplog.text


def test_a_scan_with_air_is_in_hu_beside_others_in_grey_values(tmp_path, caplog):
    ct = read_ct(save(tmp_path / "ct.nii.gz", column(-1000, 40, 255)), WINDOW)
    assert ct.data.ravel().tolist() == [-1000, 40, 255] and not caplog.records


@pytest.mark.parametrize("values", [(-3, 100, 250), (0, 100, 256)])
def test_what_is_neither_grey_values_nor_hu_is_refused(tmp_path, values):
    path = save(tmp_path / "ct.nii.gz", column(*values))
    with pytest.raises(UserError, match=rf"ct\.nii\.gz: its values reach from {values[0]} to {values[-1]}\. They are"):
        read_ct(path, WINDOW)


@pytest.mark.parametrize(("value", "fits"), [(-100_000, True), (100_001, False), (-1e30, False)])
def test_values_that_no_ct_has_are_refused_in_a_ct_alone(tmp_path, value, fits):
    path = save(tmp_path / "ct.nii.gz", column(0, value, dtype=np.float64))
    if fits:
        assert read_ct(path).data.min() == value
    else:
        with pytest.raises(UserError, match=r"ct\.nii\.gz: its values reach from .* which no CT has \(±100,000 HU"):
            read_ct(path)
    assert not read_mask(path, Reading(lesion_labels=[5])).data.any()
