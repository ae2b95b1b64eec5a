"""The box around the lungs is found in any plane, and another one where there are no lungs."""

import numpy as np
import pytest

from lesionbench.data.frames import write_frame
from lesionbench.data.phantom import write_phantom
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.data.slices import stack_slices
from lesionbench.data.studies import Phantom
from lesionbench.data.volume import Volume
from lesionbench.errors import UserError
from lesionbench.segmentation.lung_box import BODY, LUNGS, SCAN, LungBox, box_frame, find_lung_box, read_boxes


def box_of(ct, plane="axial"):
    return find_lung_box(stack_slices("s", ct, None, Preprocessing(plane=plane)))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom(folder, Phantom(studies=3, annotated=3, size=64, slices=(16, 16)))
    ct = read_ct(next(folder.glob("studies/*/study_0001.nii.gz")))
    return ct, read_mask(folder / "masks/study_0001_mask.nii.gz")


def test_the_box_holds_the_lungs_and_is_the_same_from_slices_of_any_plane(phantom):
    ct, lesion = phantom
    boxes = {plane: box_of(ct, plane) for plane in ("axial", "coronal", "sagittal")}
    assert len({str(box) for box in boxes.values()}) == 1 and boxes["axial"].around == LUNGS
    box = boxes["axial"].slices
    assert 0.1 < ct.data[box].size / ct.data.size < 0.9
    assert lesion.data[box].sum() > 0.98 * lesion.data.sum() > 0


def test_where_there_are_no_lungs_the_box_is_that_of_the_body():
    hu = np.full((40, 40, 10), -1000, np.int16)
    hu[5:30, 8:35, 2:9] = 40
    hu[0, 0, 0] = 40
    box = box_of(Volume(hu, np.diag([8.0, 8, 8, 1])))
    assert box == LungBox(BODY, (slice(5, 30), slice(8, 35), slice(2, 9)))


def test_where_there_is_no_body_it_is_the_scan():
    box = box_of(Volume(np.full((10, 12, 14), -1000, np.int16), np.diag([8.0, 8, 8, 1])))
    assert box == LungBox(SCAN, (slice(0, 10), slice(0, 12), slice(0, 14)))


def test_boxes_come_back_from_their_file(tmp_path):
    boxes = {"001": LungBox(LUNGS, (slice(1, 2), slice(0, 5), slice(3, 9))), "NA": LungBox(SCAN, (slice(0, 2),) * 3)}
    write_frame(box_frame(boxes.items()), tmp_path / "boxes.csv")
    assert read_boxes(tmp_path / "boxes.csv") == boxes
    (tmp_path / "boxes.csv").write_text("study\n1\n")
    with pytest.raises(UserError, match=r"boxes\.csv"):
        read_boxes(tmp_path / "boxes.csv")
