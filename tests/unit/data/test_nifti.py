import gzip
import logging
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.nifti import read_voxels, write_mask
from lesionbench.data.scans import read_ct, read_header, read_mask
from lesionbench.errors import UserError
from oriented import LAS, make_affine, save, some_hu


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
        (np.array([-1000, 0, 99999], np.float64), 1, 0, np.float32),
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


def claiming(*shape):
    def edit(header):
        header["dim"][: len(shape) + 1] = len(shape), *shape

    return edit


def starting_at(offset):
    return lambda header: header.__setitem__("vox_offset", offset)


def scaled_by(slope, inter=0):
    return lambda header: header.set_slope_inter(slope, inter)


BROKEN = {
    "missing": (lambda path: None, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read as NIfTI"),
    "not gzip": (lambda path: path.write_bytes(b"NRRD" * 500), "cannot be read as NIfTI"),
    "DICOM": (lambda path: path.write_bytes(bytes(128) + b"DICM" * 500), "cannot be read as NIfTI"),
    "folder": (lambda path: path.mkdir(), "this is a folder"),
    "link to nowhere": (lambda path: path.symlink_to("nowhere"), "a link to nowhere"),
    "not NIfTI": (lambda path: path.write_bytes(gzip.compress(b"DICM" * 500)), "cannot be read as NIfTI"),
    "truncated": (lambda path: truncated(path, 0.5), "truncated"),
    "truncated header": (lambda path: truncated(path, 0.005), "truncated"),
    "flat": (lambda path: save(path, some_hu()[0]), "three-dimensional.*5×6"),
    "series": (lambda path: save(path, some_hu((4, 5, 6, 2))), "three-dimensional.*4×5×6×2"),
    "NaN": (lambda path: save(path, np.full((2, 2, 2), np.nan)), r"8 voxels are NaN or infinite.*\(0, 0, 0\)"),
    "infinite": (lambda path: save(path, np.full((2, 2, 2), np.inf)), "8 voxels are NaN or infinite"),
    "complex": (lambda path: save(path, some_hu().astype(np.complex64)), "complex64"),
    "singular": (lambda path: save(path, some_hu(), edit=flattened), "its sform is singular"),
    "huge": (lambda path: save(path, some_hu(), edit=claiming(32767, 32767, 32767)), "32767×32767×32767 voxels, 70,36"),
    "one slice more": (lambda path: save(path, some_hu(), edit=claiming(4, 5, 7)), "claims 4×5×7 voxels, 632 bytes"),
    "negative": (lambda path: save(path, some_hu(), edit=claiming(4, -5, 6)), "claims 4×-5×6 voxels"),
    "no voxels": (lambda path: save(path, some_hu(), edit=claiming(4, 0, 6)), "claims 4×0×6 voxels"),
    "no axes": (lambda path: save(path, some_hu(), edit=claiming()), "claims 0 voxels"),
    "voxels far off": (lambda path: save(path, some_hu(), edit=starting_at(1e6)), "1,000,240 bytes .* holds less"),
    "voxels nowhere": (lambda path: save(path, some_hu(), edit=starting_at(np.inf)), "cannot be read as NIfTI"),
    "voxels further": (lambda path: save(path, some_hu(), edit=starting_at(1e38)), "holds less"),
    "voxels in the header": (
        lambda path: save(path, some_hu(), edit=starting_at(0)),
        r"its voxels begin at byte 0 \(vox_offset\), inside the header of 352 bytes",
    ),
    "huge scale": (
        lambda path: save(path, some_hu() | 1, edit=scaled_by(1e38)),
        "too large for 32-bit .* scl_slope, 1e",
    ),
    "huge offset": (
        lambda path: save(path, np.full((2, 2, 2), 3e38), edit=scaled_by(1, 3e38)),
        "8 voxels are too large for 32-bit numbers, the first",
    ),
    "overflow": (lambda path: save(path, np.full((2, 2, 2), 1e300), edit=scaled_by(1e38)), "8 voxels are NaN or inf"),
    "float64": (lambda path: save(path, np.full((2, 2, 2), -4e38)), "8 voxels are too large for 32-bit numbers, the"),
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


def test_damage_is_found_where_the_header_is_whole(tmp_path):
    path = save(tmp_path / "ct.nii.gz", some_hu((20, 20, 20)))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 50] = bytes(50)
    path.write_bytes(raw)
    shape, affine = read_header(path)
    assert shape == (20, 20, 20) and affine == pytest.approx(LAS)
    with pytest.raises(UserError, match="damaged"):
        read_ct(path)


HEADER_FAULTS = [
    *("huge", "one slice more", "negative", "no axes", "voxels far off", "voxels in the header"),
    *("truncated", "folder", "DICOM"),
]


@pytest.mark.parametrize("fault", HEADER_FAULTS)
def test_the_header_alone_tells_of_voxels_that_are_not_there(tmp_path, fault):
    make, message = BROKEN[fault]
    make(tmp_path / "ct.nii.gz")
    with pytest.raises(UserError, match=message):
        read_header(tmp_path / "ct.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("read", [read_header, read_ct])
def test_nothing_is_allocated_for_a_claim_that_the_file_cannot_hold(tmp_path, suffix, read):
    path = save(tmp_path / "ct.nii.gz", some_hu((50, 50, 50)), edit=claiming(500, 500, 100))
    if suffix == ".nii":
        (tmp_path / "ct.nii").write_bytes(gzip.decompress(path.read_bytes()))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"500×500×100 voxels, 50,000,352 bytes .* holds less"):
        read(tmp_path / f"ct{suffix}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6


@pytest.mark.parametrize(("slope", "times"), [(1, 1), (0.5, 2)])
def test_a_packed_ct_is_in_memory_once(tmp_path, slope, times):
    hu = np.random.default_rng(0).integers(-1000, 1000, (128, 128, 256), np.int16)
    path = save(tmp_path / "ct.nii.gz", hu, edit=scaled_by(slope))
    tracemalloc.start()
    found = read_ct(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.data.nbytes == times * hu.nbytes and peak < found.data.nbytes + 4e6


def test_exact_voxels_keep_the_type_of_their_scaling(tmp_path):
    path = save(tmp_path / "stack.nii.gz", some_hu(), edit=scaled_by(0.1))
    found = read_voxels(path, exact=True).data
    assert found.dtype == np.float64 and (found == some_hu() * np.float64(np.float32(0.1))).all()


def test_an_empty_mask_is_read_however_well_it_packs(tmp_path):
    path = save(tmp_path / "mask.nii.gz", np.zeros((256, 256, 256), np.uint8))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 9))
    assert path.stat().st_size < 256**3 / 1000
    assert read_header(path).shape == (256, 256, 256)
    assert not read_mask(path).data.any()


@pytest.mark.parametrize("change", ["two parts", "bytes to spare", "zeros after the end"])
def test_a_file_that_gzip_packed_in_another_way_is_read(tmp_path, change):
    hu = some_hu()
    path = save(tmp_path / "ct.nii.gz", hu)
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(
        {
            "two parts": gzip.compress(raw[:400]) + gzip.compress(raw[400:]),
            "bytes to spare": gzip.compress(raw + b"more"),
            "zeros after the end": gzip.compress(raw) + bytes(512),
        }[change]
    )
    assert read_header(path).shape == hu.shape and (read_ct(path).data == hu).all()


@pytest.mark.parametrize("suffix", [".nii", ".NII", ".Nii", ".nii.gz", ".NII.GZ", ".nii.GZ", ".Nii.Gz"])
def test_a_suffix_may_be_in_any_case_of_letters(tmp_path, suffix):
    hu = some_hu()
    write_mask(tmp_path / f"mask{suffix}", hu > 0, LAS)
    save(tmp_path / ("ct.nii.gz" if suffix.lower().endswith("gz") else "ct.nii"), hu).rename(tmp_path / f"ct{suffix}")
    assert (read_ct(tmp_path / f"ct{suffix}").data == hu).all()
    assert (read_mask(tmp_path / f"mask{suffix}").data == (hu > 0)).all()
    assert {path.name for path in tmp_path.iterdir()} == {f"ct{suffix}", f"mask{suffix}"}


def test_nifti_2_is_read(tmp_path):
    nib.save(nib.Nifti2Image(some_hu(), LAS), tmp_path / "ct.nii.gz")
    assert (read_ct(tmp_path / "ct.nii.gz").data == some_hu()).all()


def test_nifti_2_without_any_axis_is_refused(tmp_path):
    raw = bytearray(nib.Nifti2Image(some_hu(), LAS).to_bytes())
    raw[16:24] = bytes(8)  # dim[0]
    (tmp_path / "ct.nii").write_bytes(raw)
    with pytest.raises(UserError, match="its header claims 0 voxels"):
        read_ct(tmp_path / "ct.nii")


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
