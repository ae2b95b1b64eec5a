import numpy as np
import pytest

from lesionbench.errors import UserError
from lesionbench.segmentation.inputs import Scan, find_scans
from oriented import make_affine
from sliced import write_series

HU = np.zeros((5, 6, 4))


def series(folder, **tags):
    write_series(folder, HU, make_affine("LPS"), **tags)


def test_files_and_folders_of_files_are_scans_by_their_stems(tmp_path):
    for name in ("a.nii.gz", "below/b.NRRD", "below/deeper/c.mha", "below/.hidden.nii", "below/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_scans([tmp_path / "a.nii.gz", tmp_path / "below", tmp_path / "below/b.NRRD"])
    assert [scan.name for scan in found] == ["a", "b", "c"]
    assert found[2] == Scan("c", tmp_path / "below/deeper/c.mha")


def test_the_folders_of_a_pacs_are_their_ct_series(tmp_path, caplog):
    series(tmp_path / "P1/ST1/SE2")
    series(tmp_path / "P1/ST1/SE1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesDescription="Scout")
    series(tmp_path / "P2/ST1/SE2", PatientID="P2")
    found = find_scans([tmp_path])
    assert [(scan.name, scan.path) for scan in found] == [
        ("ST1_SE2", tmp_path / "P1/ST1/SE2"),
        ("ST1_SE2_2", tmp_path / "P2/ST1/SE2"),
    ]
    assert all(scan.series for scan in found)
    assert "left out, because it is no CT: series 2 'Scout' (localizer, 4 images" in caplog.text


def test_series_in_one_folder_are_told_apart_by_their_numbers_or_chosen(tmp_path):
    uid = "1.2.3.4"
    series(tmp_path / "ct", names="A{:03d}")
    series(tmp_path / "ct", names="B{:03d}", SeriesInstanceUID=uid, SeriesNumber=7, SeriesDescription="Soft")
    assert [scan.name for scan in find_scans([tmp_path / "ct"])] == ["ct_2", "ct_7"]
    assert find_scans([tmp_path / "ct"], "Soft") == [Scan("ct", tmp_path / "ct", uid)]


def test_names_can_be_those_of_folders_and_are_each_once(tmp_path):
    for name in ("p 1/ct.nii.gz", "p2/ct.nii.gz", "p2/CT.nii", "p2/ä b:c.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(scan.name for scan in find_scans([tmp_path])) == ["p2_CT", "p2_ct_2", "p_1_ct", "ä_b_c"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("none", "no such file or folder"), ("slice.dcm", "this is a DICOM file"), ("empty", "there is no scan")],
)
def test_what_holds_no_scan_is_named(tmp_path, name, said):
    (tmp_path / "slice.dcm").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=said):
        find_scans([tmp_path / name])


def test_a_damaged_slice_is_left_to_who_reads_its_series(tmp_path):
    series(tmp_path / "ct")
    (tmp_path / "ct/IM9999").write_bytes(bytes(128) + b"DICM")
    assert [scan.path for scan in find_scans([tmp_path])] == [tmp_path / "ct"]
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/IM1").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(UserError, match="bad/IM1: cannot be read as DICOM"):
        find_scans([tmp_path])
