import json

import nibabel as nib
import numpy as np
import pydicom
import pytest

from lesionbench.data.layouts import read_layouts, recognise
from lesionbench.data.phantom import synthesise
from lesionbench.data.phantom_layouts import BURDEN, write_layout
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_ct
from lesionbench.data.studies import Phantom
from lesionbench.data.volume import match_grid
from lesionbench.errors import UserError

TINY = Phantom(studies=4, annotated=3, size=16, slices=(5, 6))
LAYOUTS = read_layouts()


def write(root, name):
    write_layout(name, root, TINY)
    return root


def data(path):
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.parametrize("name", sorted(LAYOUTS.keys() - {"medseg-slices"}))
def test_phantoms_of_a_layout_are_recognised_as_such(tmp_path, name):
    layout, studies = recognise(write(tmp_path / "data", name))[0]
    assert layout.name == name and len(studies) > 2
    masks = [study.mask for study in studies if study.mask]
    assert len(masks) >= 3 or name in ("covid-ct-md", "ricord")
    assert all(data(study.ct).shape == data(study.mask).shape for study in studies if study.mask)


def test_the_radiopaedia_cases_hold_grey_values_and_the_others_hu(tmp_path):
    folder = write(tmp_path / "ma", "ma") / "COVID-19-CT-Seg_20cases"
    grey = data(folder / "radiopaedia_4_85506_1.nii.gz")
    assert grey.dtype == np.uint8 and grey.max() == 255
    assert data(folder / "coronacases_001.nii.gz").min() < -900


@pytest.mark.parametrize(
    ("name", "folder", "labels"),
    [
        ("ma-lung", "Lung_and_Infection_Mask", {0, 1, 2, 3}),
        ("medseg", "rp_msk", {0, 1, 3}),
        ("msd", "labelsTr", {0, 1}),
    ],
)
def test_masks_have_the_labels_of_their_layout(tmp_path, name, folder, labels):
    masks = sorted((write(tmp_path / "data", name) / folder).glob("[!.]*"))
    assert set.union(*({*np.unique(data(mask)).tolist()} for mask in masks)) >= labels


def test_the_stack_has_a_slice_a_patient(tmp_path):
    root = write(tmp_path / "data", "medseg-slices")
    assert data(root / "tr_im.nii.gz").shape == data(root / "tr_mask.nii.gz").shape == (16, 16, 3)


def test_descriptions_and_strays_lie_where_they_do_in_the_archives(tmp_path):
    assert json.loads((write(tmp_path / "nnunet", "nnunet") / "dataset.json").read_text())["labels"]["lesion"] == 1
    assert (write(tmp_path / "msd", "msd") / "imagesTr" / "._lung_001.nii.gz").is_file()


def test_dicom_slices_are_out_of_order_by_name_and_one_series_is_a_reformat(tmp_path):
    root = write(tmp_path / "data", "ricord")
    (study, *_) = sorted(root.glob("*/*/*"))
    for folder, axis in zip(sorted(study.iterdir()), (2, 1), strict=True):
        headers = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
        positions = [header.ImagePositionPatient[axis] for header in headers]
        assert len(set(positions)) == len(positions) and positions != sorted(positions)
        assert len({header.SeriesInstanceUID for header in headers}) == 1
        assert headers[0].pixel_array.min() < 124 < 1024 < headers[len(headers) // 2].pixel_array.max()


def test_a_dicom_phantom_is_read_as_the_volume_that_it_was_made_from(tmp_path):
    root = write(tmp_path / "data", "covid-ct-md")
    ct, _ = synthesise("COVID-19 subjects P001", BURDEN, TINY)
    read = match_grid("P001", ct, read_ct(root / "COVID-19 subjects" / "P001"))
    np.testing.assert_array_equal(read.data, np.maximum(ct.data, -1024))
    np.testing.assert_allclose(read.affine, ct.affine, atol=1e-3)


def test_the_series_of_a_dicom_study_is_chosen(tmp_path):
    root = write(tmp_path / "data", "ricord")
    (study, *_) = sorted(root.glob("*/*/*"))
    with pytest.raises(UserError, match="COR CHEST"):
        read_ct(study)
    assert read_ct(study, Reading(series="ROUTINE*")).data.shape[:2] == (16, 16)


@pytest.mark.parametrize(("name", "said"), [("nnUNet", "no such layout. Known are covid-19-20,"), ("msd", "not empty")])
def test_an_unknown_layout_and_a_folder_in_use_are_refused(tmp_path, name, said):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=said):
        write_layout(name, tmp_path, TINY)
