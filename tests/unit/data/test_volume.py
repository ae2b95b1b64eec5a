import gzip
import itertools
import logging

import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.volume import (
    PLANES,
    Grid,
    Volume,
    check_same_grid,
    from_slices,
    read_ct,
    read_header,
    read_mask,
    slice_spacing,
    to_slices,
    write_mask,
)
from lesionbench.errors import UserError

LAS = np.array([[-0.8, 0, 0, 120], [0, 0.8, 0, -130], [0, 0, 8, -400], [0, 0, 0, 1.0]])
# Where the slice, row and column index grow to in radiological display.
DISPLAY = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
ORIENTATIONS = [
    "".join(codes) for axes in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*axes)
]
DIRECTION = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
# Voxels and mm along each axis of the body.
EXTENT = {"R": 3, "L": 3, "A": 4, "P": 4, "S": 5, "I": 5}
SPACING = {"R": 1.5, "L": 1.5, "A": 2.0, "P": 2.0, "S": 7.0, "I": 7.0}


def make_affine(orientation, tilt=0.0):
    """The affine of a grid whose axes point to `orientation`, then turned by `tilt` degrees in each world plane."""
    affine = np.diag([0.0, 0, 0, 1])
    affine[:3] = np.array([*(np.multiply(DIRECTION[code], SPACING[code]) for code in orientation), (-50, 60, -70)]).T
    cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    for i, j in itertools.combinations(range(3), 2):
        turn = np.eye(4)
        turn[[i, i, j, j], [i, j, i, j]] = cos, -sin, sin, cos
        affine = turn @ affine
    return affine


def save(path, data, affine=LAS, edit=None):
    """Write NIfTI and then edit the header in place, past nibabel, which would rescale the data or mend the header."""
    nib.save(nib.Nifti1Image(data, affine), path)
    if edit:
        raw = gzip.decompress(path.read_bytes())
        header = nib.Nifti1Header(raw[:348])
        edit(header)
        path.write_bytes(gzip.compress(header.binaryblock + raw[348:]))
    return path


def some_hu(shape=(4, 5, 6)):
    return np.random.default_rng(0).integers(-1024, 3071, shape, dtype=np.int16)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("tilt", [0, 20])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slices_lie_as_the_plane_says_and_lead_back(orientation, tilt):
    affine = make_affine(orientation, tilt)
    shape = tuple(EXTENT[code] for code in orientation)
    array = np.arange(np.prod(shape)).reshape(shape)
    # The voxel furthest to the patient's right, front and head.
    marker = array[tuple(-1 if code in "RAS" else 0 for code in orientation)]
    for plane, display in DISPLAY.items():
        stack = to_slices(array, affine, plane)
        assert stack.shape == tuple(EXTENT[code] for code in display)
        assert stack[tuple(-1 if code in "RAS" else 0 for code in display)] == marker
        assert slice_spacing(affine, plane) == pytest.approx([SPACING[code] for code in display])
        assert (from_slices(stack, affine, plane) == array).all()
    grid = Grid(shape, affine)
    assert grid.orientation == orientation
    assert grid.spacing == pytest.approx([SPACING[code] for code in orientation])
    assert grid.voxel_ml == pytest.approx(0.021)


def test_planes_name_the_directions_tested_here():
    assert set(PLANES) == set(DISPLAY)


def test_stored_integers_stay_as_they_are(tmp_path):
    hu = some_hu()
    ct = read_ct(save(tmp_path / "ct.nii.gz", hu))
    assert ct.data.dtype == np.int16 and (ct.data == hu).all()
    assert ct.affine == pytest.approx(LAS) and ct.orientation == "LAS"


@pytest.mark.parametrize(
    "stored, slope, inter, dtype",
    [
        (np.array([0, 24, 4095], np.uint16), 1, -1024, np.int16),
        (np.array([-1000, 0, 7], np.int16), 2, -1, np.int16),
        (np.array([-1000, 0, 7], np.int16), 0.5, 0, np.float32),
        (np.array([-1000, 0, 3000], np.float64), 1, 0, np.int16),
        (np.array([-1000, 0.25, 3000], np.float64), 1, 0, np.float32),
        (np.array([-1000, 0, 40000], np.int32), 1, 0, np.float32),
        (np.array([-1000, 0, 1e9], np.float64), 1, 0, np.float32),
        (np.array([-1000, 0, 3000], ">i2"), 1, 0, np.int16),
    ],
)
def test_hu_are_scaled_and_whole_where_nothing_is_lost(tmp_path, stored, slope, inter, dtype):
    path = save(tmp_path / "ct.nii.gz", stored[:, None, None], edit=lambda header: header.set_slope_inter(slope, inter))
    ct = read_ct(path)
    assert ct.data.dtype == dtype and ct.data.dtype.isnative
    assert ct.data.ravel().tolist() == (stored * float(slope) + inter).tolist()


def test_a_trailing_axis_of_one_is_dropped(tmp_path):
    hu = some_hu()
    assert (read_ct(save(tmp_path / "ct.nii.gz", hu[..., None])).data == hu).all()


def truncated(path, keep):
    whole = save(path, some_hu((20, 20, 20))).read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])


def flattened(header):
    header["srow_z"] = 0


BROKEN = {
    "missing": (lambda path: None, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read as NIfTI"),
    "not gzip": (lambda path: path.write_bytes(b"DICM" * 500), "cannot be read as NIfTI"),
    "not NIfTI": (lambda path: path.write_bytes(gzip.compress(b"DICM" * 500)), "cannot be read as NIfTI"),
    "truncated": (lambda path: truncated(path, 0.5), "truncated"),
    "truncated header": (lambda path: truncated(path, 0.005), "truncated"),
    "flat": (lambda path: save(path, some_hu()[0]), "three-dimensional.*5×6"),
    "series": (lambda path: save(path, some_hu((4, 5, 6, 2))), "three-dimensional.*4×5×6×2"),
    "NaN": (lambda path: save(path, np.full((2, 2, 2), np.nan)), r"8 voxels are NaN or infinite.*\(0, 0, 0\)"),
    "infinite": (lambda path: save(path, np.full((2, 2, 2), np.inf)), "8 voxels are NaN or infinite"),
    "complex": (lambda path: save(path, some_hu().astype(np.complex64)), "complex64"),
    "singular": (lambda path: save(path, some_hu(), edit=flattened), "affine is singular"),
}


@pytest.mark.parametrize("read", [read_ct, read_mask])
@pytest.mark.parametrize("fault", BROKEN)
def test_an_unusable_file_is_named_with_what_is_wrong(tmp_path, fault, read):
    make, message = BROKEN[fault]
    path = tmp_path / "study_0255.nii.gz"
    make(path)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_an_uncompressed_short_file_is_an_error(tmp_path):
    truncated(tmp_path / "ct.nii", 0.5)
    with pytest.raises(UserError, match="truncated"):
        read_ct(tmp_path / "ct.nii")


def test_other_formats_are_named(tmp_path):
    nib.save(nib.MGHImage(some_hu().astype(np.int32), LAS), tmp_path / "ct.mgz")
    with pytest.raises(UserError, match="MGHImage, not NIfTI"):
        read_ct(tmp_path / "ct.mgz")


def test_the_header_is_read_without_the_voxels(tmp_path):
    truncated(tmp_path / "ct.nii.gz", 0.5)
    shape, affine = read_header(tmp_path / "ct.nii.gz")
    assert shape == (20, 20, 20) and affine == pytest.approx(LAS)


def test_a_header_without_orientation_is_warned_about(tmp_path, caplog):
    def strip(header):
        header["sform_code"] = header["qform_code"] = 0

    save(tmp_path / "ct.nii.gz", some_hu(), edit=strip)
    with caplog.at_level(logging.WARNING):
        read_ct(tmp_path / "ct.nii.gz")
    assert "no orientation" in caplog.text


def test_labels_0_and_255_are_read_with_a_warning(tmp_path, caplog):
    mask = some_hu() > 0
    with caplog.at_level(logging.WARNING):
        read = read_mask(save(tmp_path / "mask.nii.gz", mask.astype(np.uint8) * np.uint8(255)))
    assert read.data.dtype == np.uint8 and (read.data == mask).all()
    assert "0 and 255" in caplog.text


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_binary_masks_of_any_type_are_read_without_a_warning(tmp_path, caplog, dtype):
    mask = some_hu() > 0
    read = read_mask(save(tmp_path / "mask.nii.gz", mask.astype(dtype)))
    assert read.data.dtype == np.uint8 and (read.data == mask).all()
    assert not caplog.records


def test_a_mask_that_its_writer_scaled_is_binary(tmp_path):
    mask = some_hu() > 0
    path = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(mask.astype(float), LAS, dtype=np.uint8), path)
    assert nib.load(path).dataobj.slope == pytest.approx(1 / 255)
    assert (read_mask(path).data == mask).all()


@pytest.mark.parametrize(
    "labels, shown",
    [([0, 1, 2], "0, 1, 2"), ([0, 1, -1], "-1, 0, 1"), ([0, 1, 255], "0, 1, 255"), ([0, 0.5, 1], "0, 0.5, 1")],
)
def test_other_labels_are_an_error_that_lists_them(tmp_path, labels, shown):
    path = save(tmp_path / "mask.nii.gz", np.array(labels, np.float32)[:, None, None])
    with pytest.raises(UserError, match=f"mask.nii.gz.* this one {shown}. Make it binary"):
        read_mask(path)


def test_grids_within_the_tolerance_are_the_same():
    check_same_grid("study_0255", Grid((4, 5, 6), LAS), Volume(some_hu(), LAS + 9e-4))


def test_other_shapes_are_named():
    with pytest.raises(UserError, match=r"study_0255: CT and mask .* 4×5×6 and 4×5×7"):
        check_same_grid("study_0255", Grid((4, 5, 6), LAS), Grid((4, 5, 7), LAS))


def test_the_largest_distance_between_grids_is_told():
    shifted = LAS.copy()
    shifted[:3, 3] += 0, 3, 4
    with pytest.raises(UserError, match=r"study_0255: reference and prediction .* up to 5 mm apart"):
        check_same_grid("study_0255", Grid((4, 5, 6), LAS), Grid((4, 5, 6), shifted), names=("reference", "prediction"))
    with pytest.raises(UserError, match=r"up to 0.3 mm apart"):
        check_same_grid("study_0255", Grid((4, 5, 6), LAS), Grid((4, 5, 6), LAS + 0.3 * np.eye(4, k=3)))
    flipped = LAS @ np.diag([-1.0, 1, 1, 1])
    with pytest.raises(UserError, match=r"\(LAS and RAS\).* up to 4.8 mm apart"):
        check_same_grid("study_0255", Grid((4, 5, 6), LAS), Grid((4, 5, 6), flipped))


@pytest.mark.parametrize("orientation", ["LAS", "PSR"])
def test_a_written_mask_lies_over_its_ct(tmp_path, orientation):
    affine = make_affine(orientation, tilt=15)
    ct = save(tmp_path / "ct.nii.gz", some_hu(), affine)
    source = read_ct(ct)
    mask = source.data > 0
    write_mask(tmp_path / "mask.nii.gz", mask, source.affine)
    read, header = read_mask(tmp_path / "mask.nii.gz"), nib.load(tmp_path / "mask.nii.gz").header
    assert (read.data == mask).all() and (read.affine == source.affine).all()
    assert header.get_data_dtype() == np.uint8 and header.get_xyzt_units()[0] == "mm"
    assert header["sform_code"] == header["qform_code"] == 1
    assert header.get_qform() == pytest.approx(source.affine, abs=1e-4)
    assert {path.name for path in tmp_path.iterdir()} == {"ct.nii.gz", "mask.nii.gz"}


def test_the_same_mask_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_mask(tmp_path / name / "mask.nii.gz", some_hu() > 0, LAS)
    assert (tmp_path / "a" / "mask.nii.gz").read_bytes() == (tmp_path / "b" / "mask.nii.gz").read_bytes()
