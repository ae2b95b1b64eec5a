import dataclasses
import tracemalloc
import zipfile

import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.slices import load_stack, save_stack, stack_shape, stack_slices
from lesionbench.data.volume import PLANES, Forms, Volume, from_slices
from lesionbench.errors import UserError

AFFINE = np.array([[-0.8, 0, 0, 120], [0, 0.7, 0, -130], [0, 0, 8, -400], [0, 0, 0, 1.0]])
CT = Volume(np.random.default_rng(0).integers(-2000, 3000, (4, 5, 6), dtype=np.int16), AFFINE)
MASK = Volume((CT.data > 500).astype(np.uint8), AFFINE)


@pytest.mark.parametrize("plane", PLANES)
def test_a_stack_is_the_clipped_study(plane):
    stack = stack_slices("study_0255", CT, MASK, Preprocessing(plane))
    assert stack.image.dtype == np.int16 and stack.mask.dtype == np.uint8
    assert (from_slices(stack.image, AFFINE, plane) == CT.data.clip(-1000, 1000)).all()
    assert (from_slices(stack.mask, AFFINE, plane) == MASK.data).all()
    assert stack.image.flags.c_contiguous and stack.mask.flags.c_contiguous


def test_spacing_is_between_slices_rows_and_columns():
    assert stack_slices("study_0255", CT, None, Preprocessing("coronal")).spacing == pytest.approx([0.7, 8, 0.8])


def test_fractional_hu_are_rounded_halves_to_even():
    hu = np.array([-1000.6, -0.5, 0.5, 1.5, 1.6, 999.7, 1e9], np.float32)[:, None, None]
    stack = stack_slices("study_0255", Volume(hu, np.eye(4)), None, Preprocessing("sagittal"))
    # Sagittal slices run from right to left, against the first axis.
    assert stack.image.ravel()[::-1].tolist() == [-1000, 0, 0, 2, 2, 1000, 1000]


def test_a_mask_on_another_grid_is_an_error():
    with pytest.raises(UserError, match=r"study_0255.*different grids"):
        stack_slices("study_0255", CT, Volume(MASK.data[1:], AFFINE), Preprocessing("axial"))


def test_a_mask_whose_axes_run_the_other_way_gives_the_same_stack():
    turn = np.array([[1, -1], [2, 1], [0, -1]])
    turned = Volume(apply_orientation(MASK.data, turn), AFFINE @ inv_ornt_aff(turn, MASK.data.shape))
    stack, other = (stack_slices("study_0255", CT, mask, Preprocessing("coronal")) for mask in (MASK, turned))
    assert (stack.mask == other.mask).all() and (stack.affine == other.affine).all()
    assert other.mask.flags.c_contiguous


@pytest.mark.parametrize("mask", [MASK, None])
def test_what_is_saved_is_loaded(tmp_path, mask):
    stack = stack_slices("study_0255", CT, mask, Preprocessing("coronal"))
    save_stack(stack, tmp_path / "study_0255.npz")
    loaded = load_stack(tmp_path / "study_0255.npz")
    for field in dataclasses.fields(stack):
        before, after = getattr(stack, field.name), getattr(loaded, field.name)
        assert type(before) is type(after) and np.array_equal(before, after)
    assert stack_shape(tmp_path / "study_0255.npz") == stack.image.shape


def test_what_the_scans_header_says_goes_with_its_slices(tmp_path):
    forms = Forms(AFFINE, AFFINE + np.eye(4), (2, 1))
    save_stack(
        stack_slices("study_0255", dataclasses.replace(CT, forms=forms), None, Preprocessing()), tmp_path / "s.npz"
    )
    loaded = load_stack(tmp_path / "s.npz").forms
    assert loaded.codes == (2, 1)
    assert (loaded.sform == forms.sform).all() and (loaded.qform == forms.qform).all()


def test_the_file_is_stored_and_the_same_every_time(tmp_path):
    stack = stack_slices("study_0255", CT, MASK, Preprocessing("coronal"))
    for name in ("a.npz", "b.npz"):
        save_stack(stack, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {member.filename for member in archive.infolist()} == {
            f"{key}.npy" for key in ("image", "mask", "affine", "spacing", "plane", "study")
        }


@pytest.mark.parametrize("read", [load_stack, stack_shape])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "other arrays"])
def test_a_damaged_file_is_named(tmp_path, read, damage):
    path = tmp_path / "study_0255.npz"
    save_stack(stack_slices("study_0255", CT, MASK, Preprocessing("coronal")), path)
    if damage == "missing":
        path.unlink()
    elif damage == "other arrays":
        np.savez(path, pixels=CT.data)
    else:
        path.write_bytes(path.read_bytes()[: 300 if damage == "truncated" else 0])
    with pytest.raises(UserError, match=r"study_0255\.npz: cannot be read as slices"):
        read(path)


@pytest.mark.parametrize("plane", PLANES)
def test_memory_to_cut_and_save_a_study_grows_with_its_slices_alone(tmp_path, plane):
    def peak(slices):
        ct = Volume(np.zeros((64, 64, slices), np.int16), AFFINE)
        mask = Volume(np.zeros(ct.data.shape, np.uint8), AFFINE)
        tracemalloc.start()
        save_stack(stack_slices("study_0255", ct, mask, Preprocessing(plane)), tmp_path / "s.npz")
        load_stack(tmp_path / "s.npz")
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is imported on first use
    first, second, fourth = (peak(slices) for slices in (200, 400, 800))
    assert fourth - second == pytest.approx(2 * (second - first), rel=0.1)
    assert fourth < 12 * 64 * 64 * 800
