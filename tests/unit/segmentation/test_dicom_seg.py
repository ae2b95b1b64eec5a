import numpy as np
import pydicom
import pytest

from lesionbench.data.dicom import read_voxels
from lesionbench.errors import UserError
from oriented import make_affine
from sliced import write_series

pytest.importorskip("highdicom")

from lesionbench.segmentation.dicom_seg import LABEL, write_dicom_seg


@pytest.fixture
def folder(tmp_path):
    write_series(
        tmp_path / "ct", np.zeros((9, 11, 5)), make_affine("LPI"), FrameOfReferenceUID="1.2.3.4", PatientName="A^B"
    )
    return tmp_path / "ct"


def test_a_segmentation_refers_to_the_images_that_it_was_made_of(folder, tmp_path):
    lesion = np.zeros(read_voxels(folder).data.shape, bool)
    lesion[2:4, 5:10, 1] = lesion[6, 7, 3] = True
    write_dicom_seg(lesion, folder, None, "unet, 1 run", tmp_path / "lesion.dcm")
    found = pydicom.dcmread(tmp_path / "lesion.dcm")
    segment = found.SegmentSequence[0]
    assert (found.Modality, segment.SegmentLabel) == ("SEG", LABEL)
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"
    assert (found.PatientName, found.StudyInstanceUID) == ("A^B", "1.2.3")
    images = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, folder.iterdir())}
    referred = [
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for frame in found.PerFrameFunctionalGroupsSequence
    ]
    assert len(referred) == 2 and set(referred) <= set(images)
    for frame, uid, marked in zip(found.pixel_array, referred, found.PerFrameFunctionalGroupsSequence, strict=True):
        position = images[uid].ImagePositionPatient
        assert marked.PlanePositionSequence[0].ImagePositionPatient == pytest.approx(list(position))
        assert frame.sum() in (10, 1) and frame.shape == (11, 9)


def test_a_series_without_a_frame_of_reference_is_told(tmp_path):
    write_series(tmp_path / "ct", np.zeros((9, 11, 5)), make_affine("LPS"))
    lesion = np.ones((9, 11, 5), bool)
    with pytest.raises(UserError, match="no FrameOfReferenceUID"):
        write_dicom_seg(lesion, tmp_path / "ct", None, "unet", tmp_path / "lesion.dcm")
    assert not (tmp_path / "lesion.dcm").exists()


def test_nothing_is_no_segmentation(folder, tmp_path):
    with pytest.raises(UserError, match="nothing is marked"):
        write_dicom_seg(np.zeros((9, 11, 5)), folder, None, "unet", tmp_path / "lesion.dcm")
