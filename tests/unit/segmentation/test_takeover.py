"""What a program left is checked as masks from elsewhere are, and written as our own."""

import nibabel as nib
import numpy as np
import pytest

from lesionbench.data.frames import read_frame
from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.reading import AS_IS
from lesionbench.errors import UserError
from lesionbench.segmentation.takeover import read_left_record, take_masks
from lesionbench.training.handover import HandedStudy
from tiny import AFFINE, make_study

NAMES = ("a", "b")


@pytest.fixture
def left(tmp_path):
    """The folder of a program's masks of two studies, and these."""
    folder = tmp_path / "left"
    studies = []
    for number, name in enumerate(NAMES):
        ct, mask = make_study(number)
        write_volume(tmp_path / f"{name}.nii.gz", ct.data, ct.affine)
        write_mask(folder / f"{name}.nii.gz", mask.data, mask.affine)
        studies.append(HandedStudy(name, "test", tmp_path / f"{name}.nii.gz", None, AS_IS))
    return folder, studies


def take(left):
    folder, studies = left
    target = folder.parent / "taken"
    take_masks("models.mine", studies, folder, target)
    return target


def test_masks_are_taken_with_the_place_of_their_scan(left):
    image = nib.load(left[1][0].ct)
    image.set_sform(AFFINE, code=2)
    nib.save(image, left[1][0].ct)
    target = take(left)
    for number, name in enumerate(NAMES):
        mask = nib.load(target / f"{name}.nii.gz")
        assert mask.get_data_dtype() == np.uint8 and (np.asarray(mask.dataobj) == make_study(number)[1].data).all()
    assert nib.load(target / "a.nii.gz").header["sform_code"] == 2
    assert not (target / "probabilities").exists()


def test_a_mask_in_another_order_of_axes_is_brought_to_the_scan(left):
    path = left[0] / "a.nii.gz"
    nib.save(nib.load(path).as_reoriented(np.array([[2, 1], [0, -1], [1, -1]])), path)
    taken = nib.load(take(left) / "a.nii.gz")
    assert (np.asarray(taken.dataobj) == make_study(0)[1].data).all() and taken.affine == pytest.approx(AFFINE)


def test_a_missing_mask_is_named_with_what_to_do(left):
    (left[0] / "b.nii.gz").unlink()
    with pytest.raises(UserError, match=r"models\.mine: .* left no mask of 1 of 2 studies \(b\): .*left/b\.nii\.gz "):
        take(left)


def test_a_mask_on_a_foreign_grid_is_refused_with_the_study(left):
    write_mask(left[0] / "b.nii.gz", np.zeros((32, 32, 8)), AFFINE)
    with pytest.raises(UserError, match=r"b: CT and prediction lie on different grids: shapes 32×32×9 and 32×32×8"):
        take(left)


def test_labels_other_than_0_and_1_are_refused_with_the_file(left):
    write_mask(left[0] / "b.nii.gz", np.full((32, 32, 9), 2), AFFINE)
    with pytest.raises(UserError, match=r"left/b\.nii\.gz: a mask holds the labels 0"):
        take(left)


def test_the_seconds_of_a_study_are_taken_or_unknown(left):
    assert read_frame(take(left) / "seconds.csv")["seconds"].isna().all()
    (left[0] / "seconds.csv").write_text("study,seconds\nb,2.5\nc,1\n")
    taken = read_frame(take(left) / "seconds.csv").set_index("study")["seconds"]
    assert list(taken.index) == ["a", "b"] and taken["b"] == 2.5 and np.isnan(taken["a"])


def leave_probabilities(folder, values):
    (folder / "probabilities").mkdir()
    for name in NAMES:
        nib.save(
            nib.Nifti1Image(np.full((32, 32, 9), values, np.float32), AFFINE),
            folder / "probabilities" / f"{name}.nii.gz",
        )


def test_probabilities_are_kept_in_steps_of_a_255th(left):
    leave_probabilities(left[0], 0.3)
    taken = nib.load(take(left) / "probabilities" / "a.nii.gz")
    assert taken.get_data_dtype() == np.uint8 and np.unique(taken.get_fdata()) == pytest.approx(round(0.3 * 255) / 255)


def test_probabilities_that_are_none_are_refused(left):
    leave_probabilities(left[0], 76.5)
    with pytest.raises(UserError, match=r"models\.mine: a: .* holds values from 76\.5 to 76\.5\. Prob"):
        take(left)


def test_probabilities_of_all_studies_or_of_none(left):
    leave_probabilities(left[0], 0.5)
    (left[0] / "probabilities" / "a.nii.gz").unlink()
    with pytest.raises(UserError, match=r"left no probabilities of 1 of 2 studies \(a\)"):
        take(left)


def test_the_record_of_a_program_is_what_it_wrote_if_anything(tmp_path):
    assert read_left_record("models.mine", tmp_path / "record.json") == {}
    (tmp_path / "record.json").write_text('{"epochs": 3}')
    assert read_left_record("models.mine", tmp_path / "record.json") == {"epochs": 3}


@pytest.mark.parametrize("text", ["[1]", "{"])
def test_a_record_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(UserError, match=r"models\.mine: .*record\.json, which the program left, is no record"):
        read_left_record("models.mine", tmp_path / "record.json")
