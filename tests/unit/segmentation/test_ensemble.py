"""An ensemble is the mean of its members' probabilities; of masks it is a vote."""

import numpy as np
import pytest

from lesionbench.data.nifti import write_mask
from lesionbench.data.volume import Volume
from lesionbench.errors import UserError
from lesionbench.segmentation.ensemble import Member, average
from lesionbench.segmentation.probabilities import probability_path, write_probability

AFFINE = np.diag([2, 2, 5, 1.0])
STUDY = "study_0001"


def predicted(folder, values, affine=AFFINE):
    """A member that gives these probabilities along an axis of three voxels."""
    data = np.array(values, np.float32).reshape(3, 1, 1)
    write_probability(Volume(data, affine), probability_path(folder, STUDY))
    return Member(folder, made_here=True)


def masked(folder, values):
    write_mask(folder / f"{STUDY}.nii.gz", np.reshape(values, (3, 1, 1)), AFFINE)
    return Member(folder, made_here=False)


def test_probabilities_are_averaged(tmp_path):
    members = [predicted(tmp_path / "a", [0, 1, 0.4]), predicted(tmp_path / "b", [1, 1, 0.2])]
    mean = average(members, STUDY)
    assert mean.data.dtype == np.float32 and mean.data.ravel() == pytest.approx([0.5, 1, 0.3], abs=2e-3)
    assert (mean.affine == AFFINE).all()


def test_one_member_alone_stays_what_it_is(tmp_path):
    assert average([predicted(tmp_path, [0, 1, 0.2])], STUDY).data.ravel() == pytest.approx([0, 1, 0.2], abs=1e-6)


def test_masks_from_elsewhere_vote_beside_probabilities(tmp_path):
    masks = [masked(tmp_path / name, values) for name, values in (("a", [0, 1, 1]), ("b", [0, 0, 1]))]
    assert average(masks, STUDY).data.ravel() == pytest.approx([0, 0.5, 1])
    both = average([*masks, predicted(tmp_path / "c", [0.6, 0, 0])], STUDY)
    assert both.data.ravel() == pytest.approx([0.2, 1 / 3, 2 / 3], abs=1e-6)


def test_a_member_on_the_same_grid_in_another_order_is_turned(tmp_path):
    flipped = np.diag([-2, 2, 5, 1.0])
    flipped[0, 3] = 4  # the same voxels, the other way round
    members = [predicted(tmp_path / "a", [0, 0, 1]), predicted(tmp_path / "b", [1, 0, 0], flipped)]
    assert average(members, STUDY).data.ravel() == pytest.approx([0, 0, 1])


def test_members_on_different_grids_are_refused_by_the_studys_name(tmp_path):
    members = [predicted(tmp_path / "a", [0, 0, 1]), predicted(tmp_path / "b", [0, 0, 1], np.diag([3, 2, 5, 1.0]))]
    with pytest.raises(
        UserError, match=f"{STUDY}: the first member's prediction and another member's lie on different"
    ):
        average(members, STUDY)
