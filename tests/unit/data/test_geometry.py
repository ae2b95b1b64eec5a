import gzip
import logging

import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.nifti import write_mask
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_ct, read_header, read_mask
from lesionbench.data.volume import match_grid
from lesionbench.errors import UserError
from oriented import LAS, make_affine, some_hu

OTHER_THICKNESS = LAS @ np.diag([1, 1, 0.75, 1])
SHIFTED = LAS + np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 24], [0, 0, 0, 0]])


def save(path, data, sform=None, qform=None, codes=(1, 1), **fields):
    """Write NIfTI with these forms, those that are not given coded 0, and edit fields past nibabel's checks."""
    image = nib.Nifti1Image(data, LAS if sform is None and qform is None else None)
    if qform is not None:
        image.set_qform(qform, codes[1])
    image.set_sform(sform, 0 if sform is None else codes[0])
    if qform is None:
        image.header.set_zooms(nib.affines.voxel_sizes(LAS if sform is None else sform))
        image.header["qform_code"] = 0
    raw = image.to_bytes()
    header = nib.Nifti1Header(raw[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(gzip.compress(header.binaryblock + raw[348:]))
    return path


@pytest.fixture
def ct(tmp_path):
    return tmp_path / "ct.nii.gz"


def spaced(*sizes):
    return np.array([1, *sizes, 0, 0, 0, 0], np.float32)


@pytest.mark.parametrize("geometry", [None, "sform", "qform"])
@pytest.mark.parametrize("orientation", ["LAS", "PSR"])
def test_forms_that_agree_or_stand_alone_are_read_whatever_is_set(ct, orientation, geometry):
    affine = make_affine(orientation, tilt=15)
    for forms in ({"sform": affine}, {"qform": affine}, {"sform": affine, "qform": affine}):
        read = read_ct(save(ct, some_hu(), **forms), Reading(geometry=geometry))
        assert read.affine == pytest.approx(affine, abs=1e-4)


@pytest.mark.parametrize("qform", [OTHER_THICKNESS, SHIFTED, LAS @ np.diag([-1.0, 1, 1, 1])])
def test_forms_that_differ_are_told_with_both_values_until_the_setting_decides(ct, caplog, qform):
    save(ct, some_hu(), LAS, qform)
    with pytest.raises(UserError) as error:
        read_header(ct)
    first, second = "voxels of 0.8×0.8×8 mm, LAS, the first at (120, -130, -400)", f"{qform[2, 3]:g})"
    for text in (
        str(ct),
        first,
        second,
        f"{qform[2, 2]:g} mm",
        "mm apart",
        "Set dataset.geometry",
        "sform or qform, whichever",
    ):
        assert text in str(error.value)
    with caplog.at_level(logging.WARNING):
        assert read_ct(ct, Reading(geometry="qform")).affine == pytest.approx(qform, abs=1e-4)
    assert read_header(ct, Reading(geometry="sform")).affine == pytest.approx(LAS)
    assert "two places" in caplog.text and "The qform is used" in caplog.text


@pytest.mark.parametrize(("shift", "fits"), [(0.79, True), (0.81, False)])
def test_a_tenth_of_a_voxel_is_allowed(ct, shift, fits):
    moved = LAS.copy()
    moved[2, 3] += shift
    save(ct, some_hu(), LAS, moved)
    if fits:
        assert read_header(ct).affine == pytest.approx(LAS)
    else:
        with pytest.raises(UserError, match=r"up to 0\.81 mm apart"):
            read_header(ct)


def test_a_difference_counts_where_it_is_largest(ct):
    # 1.5 % of a voxel's thickness is nothing in a voxel, and more than a tenth of one after six.
    save(ct, some_hu(), LAS, LAS @ np.diag([1, 1, 1.02, 1]))
    with pytest.raises(UserError, match=r"8\.16 mm"):
        read_header(ct)


def test_a_form_that_cannot_be_used_is_told_beside_the_other(ct):
    zero = {f"srow_{axis}": 0 for axis in "xyz"}
    save(ct, some_hu(), LAS, LAS, **zero)
    with pytest.raises(
        UserError, match=r"the qform has voxels of .*the sform is singular.*dataset\.geometry .*to qform"
    ):
        read_header(ct)
    assert read_header(ct, Reading(geometry="qform")).affine == pytest.approx(LAS, abs=1e-4)
    with pytest.raises(UserError, match="its sform is singular or not finite"):
        read_header(ct, Reading(geometry="sform"))


@pytest.mark.parametrize("thickness", [0, -8, np.nan, np.inf])
def test_a_spacing_that_is_none_is_refused(ct, thickness):
    pixdim = spaced(0.8, 0.8, thickness)
    for forms in ({"qform": LAS}, {}):
        save(ct, some_hu(), **forms, **{"sform_code": 0, "pixdim": pixdim})
        with pytest.raises(
            UserError, match=rf"ct\.nii\.gz: its .*has the spacing 0\.8×0\.8×{thickness} \(pixdim\)\. Repair"
        ):
            read_ct(ct)


def test_pixdim_is_held_against_an_sform_that_stands_alone(ct):
    save(ct, some_hu(), LAS, pixdim=spaced(0.8, 0.8, 6))
    for geometry in (None, "qform"):
        with pytest.raises(
            UserError,
            match=r"the sform has voxels of 0\.8×0\.8×8 mm.* and pixdim .* 0\.8×0\.8×6 mm\. Set .* to sform, if",
        ):
            read_header(ct, Reading(geometry=geometry))
    assert read_header(ct, Reading(geometry="sform")).spacing == pytest.approx([0.8, 0.8, 8])


@pytest.mark.parametrize(("unit", "mm"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (10, 1), (1 + 8, 1000)])
def test_other_units_of_length_become_mm(ct, unit, mm):
    affine = LAS.copy()
    affine[:3] /= mm
    save(ct, some_hu(), affine, affine, xyzt_units=unit)
    assert read_header(ct).affine == pytest.approx(LAS, rel=1e-5)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"xyzt_units": 1}, "its voxels are 800×800×8000 mm by its sform, in metres, and a scanner's 0.01 to 100 mm"),
        ({"xyzt_units": 3}, "its voxels are 0.0008×0.0008×0.008 mm by its sform, in microns,"),
        ({"srow_x": [-1e30, 0, 0, 0]}, "its voxels are 1e+30×0.8×8 mm by its sform"),
        ({"srow_x": [-1e-30, 0, 0, 0]}, "its voxels are 1e-30×0.8×8 mm"),
        ({"srow_z": [0, 0, 8, 1e30]}, "its first voxel lies at (120, -130, 1e+30) mm"),
    ],
)
def test_what_no_scanner_leaves_is_refused(ct, fields, said):
    save(ct, some_hu(), LAS, **fields)
    with pytest.raises(UserError) as error:
        read_header(ct)
    assert said in str(error.value)


def test_a_mask_that_was_drawn_by_the_qform_lies_on_its_ct_where_that_is_set(tmp_path, ct):
    save(ct, some_hu(), SHIFTED, LAS)
    mask = save(tmp_path / "mask.nii.gz", (some_hu() > 0).astype(np.uint8), LAS, LAS)
    for path in (
        mask,
        save(tmp_path / "sform.nii.gz", (some_hu() > 0).astype(np.uint8), LAS),
    ):
        reading = Reading(geometry="qform")
        assert match_grid("study_0255", read_ct(ct, reading), read_mask(path, reading)).data.any()
    with pytest.raises(UserError, match="24 mm apart"):
        match_grid("study_0255", read_ct(ct, Reading(geometry="sform")), read_mask(mask))


@pytest.mark.parametrize("geometry", ["sform", "qform"])
@pytest.mark.parametrize(
    ("forms", "codes"),
    [
        ({"sform": SHIFTED, "qform": LAS}, (1, 1)),
        ({"sform": LAS, "qform": LAS}, (2, 1)),
        ({"sform": LAS}, (3, 0)),
        ({"qform": LAS}, (0, 2)),
        ({}, (0, 0)),
    ],
)
def test_what_is_written_carries_the_forms_of_its_source(tmp_path, ct, forms, codes, geometry):
    save(ct, some_hu(), **forms, codes=codes, **({} if forms else {"sform_code": 0}))
    reading = Reading(geometry=geometry)
    source = read_ct(ct, reading)
    write_mask(tmp_path / "mask.nii.gz", source.data > 0, source.affine, source.forms)
    before, after = (nib.load(path).header for path in (ct, tmp_path / "mask.nii.gz"))
    assert (int(after["sform_code"]), int(after["qform_code"])) == codes
    for name in forms:
        assert getattr(after, f"get_{name}")() == pytest.approx(getattr(before, f"get_{name}")(), abs=1e-4)
    assert read_mask(tmp_path / "mask.nii.gz", reading).affine == pytest.approx(source.affine, abs=1e-4)


def test_a_code_that_no_reader_knows_is_written_as_that_of_a_scanner(ct, tmp_path):
    save(ct, some_hu(), sform=LAS, sform_code=512)
    volume = read_ct(ct)
    write_mask(tmp_path / "mask.nii.gz", volume.data > 0, volume.affine, volume.forms)
    assert nib.load(tmp_path / "mask.nii.gz").get_sform(coded=True)[1] == 1
