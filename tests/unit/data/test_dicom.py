import logging
import random
import shutil
import tempfile

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.uid import JPEGLosslessSV1, RLELossless

from lesionbench.data import dicom
from lesionbench.data.dicom import find_series, read_slices
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_ct, read_header, read_mask
from lesionbench.data.volume import match_grid
from lesionbench.errors import UserError
from lesionbench.files import visible_files
from oriented import make_affine, some_hu
from sliced import write_series

AFFINE = make_affine("LPS")
HU = some_hu((12, 13, 4))  # 312 bytes a slice: pydicom leaves them in the file, as it does those of a scanner


@pytest.fixture
def folder(tmp_path):
    """A CT series of four slices, 7 mm apart."""
    write_series(tmp_path / "study_0255", HU, AFFINE)
    return tmp_path / "study_0255"


@pytest.mark.parametrize("tilt", [0, 20])
@pytest.mark.parametrize("orientation", ["LPS", "LAS", "RAI", "PSR", "SLA", "IPR"])
def test_a_series_has_the_hu_and_the_geometry_of_its_nifti_twin(tmp_path, orientation, tilt):
    affine = make_affine(orientation, tilt)
    write_series(tmp_path / "dicom", HU, affine)
    nib.save(nib.Nifti1Image(HU, affine), tmp_path / "twin.nii.gz")
    twin, ct = read_ct(tmp_path / "twin.nii.gz"), read_ct(tmp_path / "dicom")
    moved = match_grid("study_0255", twin, ct, tolerance=1e-4)
    assert ct.data.dtype == np.int16 and (moved.data == twin.data).all()
    assert moved.affine == pytest.approx(twin.affine, abs=1e-4)
    header = read_header(tmp_path / "dicom")
    assert header.shape == ct.data.shape and (header.affine == ct.affine).all()


def test_slices_are_sorted_by_position_and_not_by_name(tmp_path):
    names = [f"{number:03d}.dcm" for number in range(4)]
    random.Random(1).shuffle(names)
    for k, name in enumerate(names):
        (path,) = write_series(tmp_path / "one", HU[:, :, k : k + 1], AFFINE, InstanceNumber=1)
        piece = pydicom.dcmread(path)
        piece.ImagePositionPatient = list((np.diag([-1, -1, 1, 1]) @ AFFINE @ [0, 0, k, 1])[:3])
        (tmp_path / "ct").mkdir(exist_ok=True)
        piece.save_as(tmp_path / "ct" / name)
    # All of one instance UID, as some anonymisers leave them.
    assert (read_ct(tmp_path / "ct").data == HU).all()


@pytest.mark.parametrize("slope", [1, 2, [1, 2, 0.5, 1]])
def test_each_slice_is_scaled_by_its_own_slope_and_intercept(tmp_path, slope):
    hu = (HU // 2) * 2
    write_series(tmp_path / "ct", hu, AFFINE, slope=slope, intercept=[-1024, -1000, 0, 8])
    ct = read_ct(tmp_path / "ct")
    assert ct.data.dtype == np.int16 and (ct.data == hu).all()


def as_jpeg_lossless(piece):
    """Pack a slice as scanners do: JPEG lossless, process 14, selection value 1."""
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(piece.pixel_array), file.name, True, compressor="JPEG")
        packed = pydicom.dcmread(file.name)
    assert packed.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    piece.file_meta.TransferSyntaxUID, piece["PixelData"] = JPEGLosslessSV1, packed["PixelData"]


def test_packed_slices_are_read(tmp_path):
    hu = some_hu((64, 60, 2))
    write_series(tmp_path / "jpeg", hu, AFFINE, encode=as_jpeg_lossless)
    write_series(tmp_path / "rle", hu, AFFINE, encode=lambda piece: piece.compress(RLELossless))
    for name in ("jpeg", "rle"):
        ct = read_ct(tmp_path / name)
        assert (ct.data == hu).all() and ct.affine == pytest.approx(AFFINE)


def test_what_else_lies_in_a_folder_is_left_alone(folder):
    for name in ("DICOMDIR", "._IM0001", ".DS_Store", "notes.txt", ".cache/IM0009", "empty/x.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"anything")
    shutil.copy(folder / "IM0002", folder / "a copy.dcm")
    report = pydicom.dcmread(folder / "IM0000")
    del report.Rows, report.PixelData
    report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.67", "SR"
    report.save_as(folder / "dose.dcm")
    listing = pydicom.Dataset()
    listing.file_meta = pydicom.dataset.FileMetaDataset()
    listing.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    listing.file_meta.MediaStorageSOPInstanceUID = "1.2"
    listing.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    listing.save_as(folder / "disc.dcm", enforce_file_format=True)
    (folder / "below").mkdir()
    (folder / "IM0003").rename(folder / "below" / "IM0003")
    assert (read_ct(folder).data == HU).all()


def test_of_a_scan_with_its_localizer_the_scan_is_read(folder):
    localizer = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesDescription": "Topogram"}
    write_series(folder / "topogram", HU[:, :, :1], make_affine("LIP"), **localizer)
    assert (read_ct(folder).data == HU).all()


def test_several_series_are_listed_and_one_is_chosen(folder):
    write_series(folder / "2", HU + 1, make_affine("LIP"), SeriesNumber=3, SeriesDescription="Cor [MPR]")
    write_series(folder / "1", HU[:, :, :1], AFFINE, ImageType=["ORIGINAL", "LOCALIZER"], SeriesDescription="Topo")
    with pytest.raises(UserError) as error:
        read_header(folder)
    message, uid = str(error.value), pydicom.dcmread(folder / "2" / "IM0000").SeriesInstanceUID
    for said in (
        f"{folder}: there are 2 CT series: series 2 'Lung 1.0' (CT, 4 images, ",
        f"series 3 'Cor [MPR]' (CT, 4 images, {uid})",
        "besides series 2 'Topo' (localizer, 1 image",
        "dataset.series in the configuration, --series of a command",
    ):
        assert said in message
    for series in ("3", uid, "Cor [MPR]", "cor [m*"):
        assert (read_ct(folder, Reading(series=series)).data == HU + 1).all()
    for series, said in (("*", "2 of which fit"), ("Bone*", "none of which fit 'Bone\\*'")):
        with pytest.raises(UserError, match=said):
            read_ct(folder, Reading(series=series))


def without(*numbers):
    return lambda folder: [(folder / f"IM{number:04d}").unlink() for number in numbers]


def changed(number=0, **tags):
    """Change attributes of a slice, or of all."""

    def change(folder):
        for path in folder.glob("IM*" if number is None else f"IM{number:04d}"):
            piece = pydicom.dcmread(path)
            for tag, value in tags.items():
                if value is None:
                    del piece[tag]
                else:
                    setattr(piece, tag, value)
            piece.save_as(path)

    return change


def shorn(number, keep):
    def change(folder):
        path = folder / f"IM{number:04d}"
        path.write_bytes(path.read_bytes()[:keep])

    return change


def damaged_jpeg(folder):
    shutil.rmtree(folder)
    write_series(folder, HU, AFFINE, encode=as_jpeg_lossless)
    path = folder / "IM0002"
    path.write_bytes(path.read_bytes().replace(b"\xff\xc3", b"\xff\x00"))  # the start of the frame


FAULTS = {
    "missing slice": (without(2), r"its 3 slices are not evenly spaced: .* from -63 to -49 mm there is another step"),
    "missing near the end": (without(1), r"not evenly spaced: .* from -70 to -56 mm"),
    "none": (without(0, 1, 2, 3), "this is a folder without any DICOM image"),
    "two patients": (changed(3, PatientID="P2"), r"images of 2 patients \(P1, P2\)"),
    "MR": (
        changed(None, SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR"),
        r"there is no CT series, only series 2 'Lung 1.0' \(MR, 4 images",
    ),
    "localizer alone": (
        changed(None, ImageType=["ORIGINAL", "LOCALIZER"]),
        r"no CT series, only .*\(localizer, 4 images",
    ),
    "several images a file": (
        changed(None, SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1"),
        "the slice IM0000 holds several images in one file",
    ),
    "no slope": (changed(1, RescaleSlope=None), "the slice IM0001 has no rescale slope and intercept"),
    "other values": (changed(1, RescaleType="Z_EFF"), "the slice IM0001 holds values in Z_EFF, not in HU"),
    "no position": (changed(1, ImagePositionPatient=None), "the slice IM0001 lacks its position"),
    "other size": (changed(2, Rows=3), "the slice IM0002 is of another size than IM0000"),
    "other spacing": (changed(2, PixelSpacing=[2, 2]), "the slice IM0002 is of another size than IM0000"),
    "other direction": (
        changed(2, ImageOrientationPatient=[0, 1, 0, 1, 0, 0]),
        "the slice IM0002 lies in another direction than IM0000",
    ),
    "no rotation": (changed(None, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "an orientation that is no rotation"),
    "no size of voxels": (changed(None, PixelSpacing=[1, 0]), "by its slices, its axes are singular"),
    "metres": (changed(None, PixelSpacing=[1000, 1000]), "its voxels are 1000×1000×7 mm by its slices"),
    "cut voxels": (shorn(2, -20), "IM0002: cannot be read as DICOM .it holds fewer voxels than its header says"),
    "fewer voxels": (changed(2, PixelData=bytes(50)), "IM0002: cannot be read as DICOM .it holds fewer voxels"),
    "no voxels": (changed(2, PixelData=None), "IM0002: cannot be read as DICOM .it holds fewer voxels"),
    "damaged voxels": (damaged_jpeg, "IM0002: cannot be read .*It is truncated, damaged"),
    "cut header": (shorn(2, 600), "IM0002: cannot be read as DICOM"),
    "cut early": (shorn(2, 140), "IM0002: cannot be read as DICOM"),
    "words": (lambda folder: (folder / "IM0001.dcm").write_text("words" * 99), "IM0001.dcm: cannot be read as DICOM"),
    "nothing": (lambda folder: (folder / "IM0001.dcm").touch(), "IM0001.dcm: cannot be read as DICOM"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_no_straight_ct_is_refused_in_a_sentence(folder, fault):
    change, said = FAULTS[fault]
    change(folder)
    with pytest.raises(UserError, match=said) as error:
        read_ct(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_two_scans_in_one_series_are_refused(folder):
    write_series(folder / "late", HU, AFFINE, SeriesInstanceUID=pydicom.dcmread(folder / "IM0000").SeriesInstanceUID)
    with pytest.raises(UserError, match=r"4 positions in the series hold two slices \(at -70, "):
        read_ct(folder)


def test_a_series_whose_step_changes_is_refused(tmp_path):
    depths = np.cumsum([0, *[1.0] * 10, *[1.2] * 10])
    write_series(tmp_path, some_hu((4, 4, 21)), AFFINE, ImagePositionPatient=lambda k: [0, 0, depths[k]])
    with pytest.raises(UserError, match="the step changes along the series"):
        read_header(tmp_path)


def test_positions_that_were_rounded_are_even(tmp_path):
    write_series(tmp_path, some_hu((4, 4, 40)), AFFINE, ImagePositionPatient=lambda k: [0, 0, round(0.625 * k, 1)])
    assert read_header(tmp_path).spacing[2] == pytest.approx(0.625, abs=0.003)


def test_a_tilted_gantry_is_told_with_its_angle(tmp_path):
    write_series(tmp_path, HU, AFFINE, ImagePositionPatient=lambda k: [0, 5 * np.tan(np.radians(12)) * k, 5 * k])
    with pytest.raises(UserError, match=r"gantry tilt, 12\.0°.*dcm2niix"):
        read_header(tmp_path)


def test_a_single_slice_is_as_thick_as_it_says(tmp_path):
    write_series(tmp_path, HU[:, :, :1], AFFINE)
    assert read_ct(tmp_path).spacing == pytest.approx([1.5, 2, 7])


def test_a_folder_is_no_mask_and_a_slice_no_scan(folder, caplog):
    with pytest.raises(UserError, match="study_0255: this is a folder"):
        read_mask(folder)
    with pytest.raises(UserError, match="IM0000: this is a DICOM file"):
        read_ct(folder / "IM0000")
    with caplog.at_level(logging.WARNING):
        read_ct(folder)
    assert not caplog.records


def test_the_series_among_files_are_told_with_the_folders_that_hold_them(folder):
    write_series(folder.parent / "two/a", HU[:, :, :2], AFFINE, SeriesInstanceUID="1.2.3", SeriesNumber=5)
    second = AFFINE.copy()
    second[:3, 3] += AFFINE[:3, 2] * 2
    write_series(folder.parent / "two/b", HU[:, :, 2:], second, SeriesInstanceUID="1.2.3", SeriesNumber=5)
    write_series(folder / "scout", HU, AFFINE, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    found, others = find_series(visible_files(folder.parent))
    assert {(series.number, series.folder) for series in found} == {("2", folder), ("5", folder.parent / "two")}
    assert "localizer, 4 images" in others
    assert [series.number for series in find_series(visible_files(folder.parent), "1.2.3")[0]] == ["5"]


def test_the_files_of_a_series_are_in_the_order_of_its_voxels(folder):
    paths = read_slices(folder)
    volume = read_ct(folder).data
    assert sorted(paths) == sorted(folder.iterdir())
    for k, path in enumerate(paths):
        piece = pydicom.dcmread(path)
        assert (piece.pixel_array.T * piece.RescaleSlope + piece.RescaleIntercept == volume[:, :, k]).all()


def test_a_slice_whose_header_gives_two_sizes_is_refused(folder, monkeypatch):
    monkeypatch.setattr(dicom, "slice_size", lambda path: (60_000, 60_000))
    with pytest.raises(UserError, match=r"its header gives two sizes, 12×13 and 60000×60000"):
        read_ct(folder)
