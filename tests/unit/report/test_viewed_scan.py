"""A scan with masks in files becomes a page's content, or one sentence says what does not fit."""

import json

import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.nifti import write_mask
from lesionbench.data.reading import AS_IS
from lesionbench.errors import UserError
from lesionbench.report.viewed_scan import is_segmented, scan_with_masks, segmented_scan
from oriented import LAS
from sliced import write_series

SHAPE = (8, 9, 6)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(np.full(SHAPE, -800, np.int16), LAS), path)
    return path


@pytest.fixture
def mask(tmp_path):
    return write(tmp_path / "mine.nii.gz")


def write(path, label=1, affine=LAS):
    data = np.zeros(SHAPE, np.uint8)
    data[2:4, 3:6, 1:3] = label
    write_mask(path, data, affine)
    return path


def test_masks_are_called_as_their_files_or_as_is_said(scan, mask):
    shown = scan_with_masks(scan, [str(mask), f"Other one={mask}"], AS_IS)
    assert shown.title == "scan" and shown.reference is None
    assert [each.name for each in shown.masks] == ["mine", "Other one"]
    assert shown.masks[1].data.sum() == 12


def test_a_reference_may_have_labels_of_its_own(scan, mask, tmp_path):
    reference = write(tmp_path / "by-hand.nii.gz", label=3)
    assert scan_with_masks(scan, [str(mask)], AS_IS, reference, [3]).reference.data.sum() == 12
    with pytest.raises(UserError, match=r"by-hand.nii.gz: a mask holds the labels 0 \(background\) and 1"):
        scan_with_masks(scan, [str(mask)], AS_IS, reference)


def test_a_mask_of_another_grid_is_named(scan, tmp_path):
    other = write(tmp_path / "other.nii.gz", affine=LAS + np.diag([0, 0, 1, 0]))
    with pytest.raises(UserError, match=r"other.nii.gz: CT and mask lie on different grids"):
        scan_with_masks(scan, [str(other)], AS_IS)


def test_a_series_of_dicom_slices_is_a_scan(tmp_path, mask):
    write_series(tmp_path / "series", np.full(SHAPE, -800, np.int16), LAS)
    shown = scan_with_masks(tmp_path / "series", [str(mask)], AS_IS)
    assert shown.title == "series" and (shown.ct.data == -800).all()


def test_a_folder_of_several_scans_is_refused(scan, mask, tmp_path):
    nib.save(nib.load(scan), tmp_path / "second.nii.gz")
    with pytest.raises(UserError, match=r"there are 3 scans, .*Give one of them"):
        scan_with_masks(tmp_path, [str(mask)], AS_IS)


@pytest.fixture
def segmented(scan, tmp_path):
    """What `lesionbench segment` leaves of a scan."""
    folder = tmp_path / "segmented" / "scan"
    write(folder / "lesion.nii.gz")
    write(folder / "lungs.nii.gz", label=2)
    reading = {"intensity": "hu", "geometry": None}
    report = {"scan": "scan", "path": str(scan), "series": None, "made_by": {"reading": reading}}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def test_a_segmented_scan_is_shown_with_lesion_and_lungs(segmented, mask):
    assert is_segmented(segmented) and not is_segmented(segmented.parent)
    shown = segmented_scan(segmented, mask)
    assert [(each.name, int(each.data.sum())) for each in shown.masks] == [("Lesion", 12), ("Lungs", 12)]
    assert shown.title == "scan" and shown.reference.data.sum() == 12
    (segmented / "lungs.nii.gz").unlink()
    assert [each.name for each in segmented_scan(segmented).masks] == ["Lesion"]


def test_the_folder_of_all_segmented_scans_is_not_taken_for_one(segmented):
    with pytest.raises(UserError, match=r"Name one: lesionbench view .*segmented/scan"):
        scan_with_masks(segmented.parent, [], AS_IS)


def test_a_scan_that_was_moved_or_a_damaged_report_is_said(segmented, scan):
    scan.unlink()
    with pytest.raises(UserError, match=r"the scan is no longer there. Say where it is: lesionbench view SCAN"):
        segmented_scan(segmented)
    (segmented / "report.json").write_text("{}")
    with pytest.raises(UserError, match=r"report.json: cannot be read as the report of a scan"):
        segmented_scan(segmented)
