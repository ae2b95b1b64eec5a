import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.layouts import recognise
from lesionbench.data.nifti import write_volume
from lesionbench.data.unstack import unstack
from lesionbench.errors import UserError

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0, -5], [0, 0, 8, 3], [0, 0, 0, 1]])


@pytest.fixture
def stack(tmp_path):
    rng = np.random.default_rng(0)
    write_volume(tmp_path / "tr_im.nii.gz", rng.integers(-1000, 400, (6, 5, 4)).astype(np.int16), AFFINE)
    write_volume(tmp_path / "tr_mask.nii.gz", rng.integers(0, 4, (6, 5, 4)).astype(np.uint8), AFFINE)
    return tmp_path


def test_each_slice_is_a_study_in_its_place(stack):
    assert unstack(stack / "tr_im.nii.gz", stack / "tr_mask.nii.gz", stack / "out") == 4
    layout, studies = recognise(stack / "out")[0]
    assert layout.name == "medseg-slices" and [study.name for study in studies] == [f"tr_im_00{n}" for n in "1234"]
    for kind, whole in (("ct", "tr_im"), ("masks", "tr_mask")):
        image, source = nib.load(stack / "out" / kind / "tr_im_003.nii.gz"), nib.load(stack / f"{whole}.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj)[:, :, 0], np.asarray(source.dataobj)[:, :, 2])
        np.testing.assert_allclose(image.affine @ [1, 2, 0, 1], AFFINE @ [1, 2, 2, 1])


def test_a_mask_of_another_stack_and_a_folder_in_use_are_refused(stack):
    write_volume(stack / "other.nii.gz", np.zeros((6, 5, 3), np.uint8), AFFINE)
    with pytest.raises(UserError, match="differ in shape, 6×5×4 and 6×5×3"):
        unstack(stack / "tr_im.nii.gz", stack / "other.nii.gz", stack / "out")
    with pytest.raises(UserError, match="not empty"):
        unstack(stack / "tr_im.nii.gz", stack / "tr_mask.nii.gz", stack)
