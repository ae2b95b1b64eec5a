import sys

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from lesionbench.data.reading import ITK_SUFFIXES, Reading
from lesionbench.data.scans import read_ct, read_header, read_mask
from lesionbench.errors import UserError
from oriented import make_affine, some_hu

TO_LPS = np.diag([-1.0, -1, 1, 1])


def save(path, data, affine, packed=False):
    """Write voxels (i, j, k) as SimpleITK does, by the path's suffix."""
    image = SimpleITK.GetImageFromArray(data.T)
    axes = (TO_LPS @ affine)[:3, :3]
    sizes = np.linalg.norm(axes, axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((axes / sizes).ravel().tolist())
    image.SetOrigin((TO_LPS @ affine)[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path), packed)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [*ITK_SUFFIXES, ".MHA"])
@pytest.mark.parametrize("orientation", ["LAS", "PSR", "RAI"])
def test_a_file_has_the_hu_and_the_geometry_of_its_nifti_twin(tmp_path, orientation, suffix, packed):
    hu, affine = some_hu(), make_affine(orientation, tilt=15)
    path = save(tmp_path / f"ct{suffix.lower()}", hu, affine, packed).rename(tmp_path / f"ct{suffix}")
    nib.save(nib.Nifti1Image(hu, affine), tmp_path / "twin.nii.gz")
    ct, twin, header = read_ct(path), read_ct(tmp_path / "twin.nii.gz"), read_header(path)
    assert ct.data.dtype == np.int16 and (ct.data == twin.data).all()
    assert ct.affine == pytest.approx(twin.affine, abs=1e-4)
    assert header.shape == hu.shape and (header.affine == ct.affine).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_mask_is_read_by_its_labels(tmp_path, dtype):
    labels = np.arange(4).reshape(4, 1, 1).astype(dtype)
    path = save(tmp_path / "mask.nrrd", labels, np.eye(4))
    assert read_mask(path, Reading(lesion_labels=[2, 3])).data.ravel().tolist() == [0, 0, 1, 1]
    with pytest.raises(UserError, match=r"mask\.nrrd: a mask holds the labels 0 .* this one 0, 1, 2, 3"):
        read_mask(path)


def test_one_volume_of_four_axes_is_read_and_several_are_refused(tmp_path):
    hu = some_hu()
    for name, count in (("one.nrrd", 1), ("two.nrrd", 2)):
        volume = SimpleITK.GetImageFromArray(hu.T)
        SimpleITK.WriteImage(SimpleITK.JoinSeries([volume] * count), str(tmp_path / name))
    ct = read_ct(tmp_path / "one.nrrd")
    assert (ct.data == hu).all() and ct.affine == pytest.approx(TO_LPS)
    with pytest.raises(UserError, match=r"two\.nrrd: one three-dimensional volume is needed, this image is 4×5×6×2"):
        read_header(tmp_path / "two.nrrd")


def edited(*replacements, keep=None):
    """Change bytes of a file, or cut it."""

    def change(path):
        raw = path.read_bytes()
        for before, after in replacements:
            assert before in raw
            raw = raw.replace(before, after)
        path.write_bytes(raw[:keep])

    return change


def flat(path):
    SimpleITK.WriteImage(SimpleITK.Image(4, 5, SimpleITK.sitkInt16), str(path))


def coloured(path):
    SimpleITK.WriteImage(SimpleITK.Image([4, 5, 6], SimpleITK.sitkVectorUInt8, 3), str(path))


def undefined(path):
    save(path, np.full((4, 5, 6), np.nan, np.float32), np.eye(4))


FAULTS = {
    "missing": ("ct.mha", lambda path: path.unlink(), "no such file"),
    "words": ("ct.mha", lambda path: path.write_text("words"), r"cannot be read \("),
    "cut": ("ct.mha", edited(keep=-9), r"cannot be read \("),
    "cut nrrd": ("ct.nrrd", edited(keep=-9), r"cannot be read \(.*fread got only"),
    "huge": ("ct.nrrd", edited((b"sizes: 4 5 6", b"sizes: 32767 32767 32767")), r"cannot be read \("),
    "no thickness": (
        "ct.mha",
        edited((b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 0")),
        "by its header, its axes are singular",
    ),
    "metres": (
        "ct.mha",
        edited((b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 1000")),
        "its voxels are 1×1×1000 mm by its header",
    ),
    "flat": ("ct.mha", flat, "one three-dimensional volume is needed, this image is 4×5"),
    "colours": ("ct.mha", coloured, "each voxel holds several numbers"),
    "NaN": ("ct.mha", undefined, "120 voxels are NaN or infinite"),
    "many axes": ("ct.mha", edited((b"NDims = 3", b"NDims = 31")), r"number of axes \(NDims\)"),
    "lost voxels": ("ct.mhd", lambda path: path.with_suffix(".raw").unlink(), r"cannot be read \("),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unusable_file_is_named_with_what_is_wrong(tmp_path, fault, capfd):
    name, change, said = FAULTS[fault]
    path = save(tmp_path / name, some_hu(), np.eye(4))
    change(path)
    with pytest.raises(UserError, match=said) as error:
        read_ct(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value) and "0x" not in str(error.value)


def test_without_simple_itk_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = save(tmp_path / "ct.mha", some_hu(), np.eye(4))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(UserError, match=r"ct\.mha: .*pip install simpleitk pydicom"):
        read_ct(path)
