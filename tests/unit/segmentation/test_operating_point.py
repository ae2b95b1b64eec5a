"""The operating point is the one of the best mean Dice on the validation studies, and removes what is small."""

import json

import numpy as np
import pytest

from lesionbench.data.nifti import write_mask
from lesionbench.data.reading import AS_IS
from lesionbench.data.scans import read_mask
from lesionbench.data.volume import Volume
from lesionbench.errors import UserError
from lesionbench.segmentation.ensemble import Member
from lesionbench.segmentation.operating_point import (
    SIZES,
    choose,
    find_point,
    lesion_mask,
    loader,
    read_point,
    write_choice,
    write_lesion,
)
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.segmentation.probabilities import THRESHOLDS, probability_path, to_levels, write_probability

BOTH = OperatingPoint("validation", "validation")
VOXEL_MM3 = 4.0


def dice(mask, reference):
    return 2 * (mask & reference).sum() / (mask.sum() + reference.sum())


def made_up(seed, lesion=0.3):
    """Levels and a reference that agree in part."""
    random = np.random.default_rng(seed)
    reference = np.zeros((12, 10, 8), bool)
    reference[3:8, 2:7, 2:6] = True
    probability = np.where(reference, lesion, 0.05) + 0.3 * random.random(reference.shape)
    return to_levels(probability), reference, VOXEL_MM3


STUDIES = {"a": made_up(1), "b": made_up(2, 0.25), "c": made_up(3, 0.2)}


def test_the_threshold_has_the_best_mean_dice_of_all():
    choice = choose(OperatingPoint("validation"), list(STUDIES), STUDIES.get)
    by_hand = [
        np.mean([dice(levels / 255 >= threshold, reference) for levels, reference, _ in STUDIES.values()])
        for threshold in THRESHOLDS
    ]
    assert choice.by_threshold == pytest.approx(by_hand)
    assert by_hand[list(THRESHOLDS).index(choice.point.threshold)] == max(by_hand)
    assert choice.point.min_component_mm3 == 0 and not len(choice.by_size) and choice.studies == list(STUDIES)


def test_of_equal_thresholds_the_nearest_to_a_half_is_taken():
    levels, reference = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), bool)
    levels[0], reference[0] = 100, True
    choice = choose(OperatingPoint("validation"), ["a"], lambda study: (levels, reference, 1.0))
    assert choice.point.threshold == pytest.approx(99.5 / 255)


def test_the_smallest_component_has_the_best_mean_dice_of_all():
    choice = choose(BOTH, list(STUDIES), STUDIES.get)
    for size, found in zip(SIZES, choice.by_size, strict=True):
        point = OperatingPoint(choice.point.threshold, size)
        masks = [(lesion_mask(levels / 255, point, VOXEL_MM3), reference) for levels, reference, _ in STUDIES.values()]
        assert found == pytest.approx(np.mean([dice(*pair) for pair in masks]))
    assert choice.by_size[SIZES.index(choice.point.min_component_mm3)] == choice.by_size.max()


def test_specks_are_removed_where_they_are_wrong():
    levels, reference, _ = made_up(1, lesion=0.7)
    levels[0, ::3, ::3] = 255
    choice = choose(BOTH, ["a"], lambda study: (levels, reference, VOXEL_MM3))
    assert choice.point.min_component_mm3 > VOXEL_MM3
    assert dice(lesion_mask(levels / 255, choice.point, VOXEL_MM3), reference) == pytest.approx(1)


def test_a_given_threshold_stays_where_only_the_size_is_chosen():
    choice = choose(OperatingPoint(0.3, "validation"), list(STUDIES), STUDIES.get)
    assert choice.point.threshold == 0.3 and not len(choice.by_threshold) and len(choice.by_size) == len(SIZES)


def test_studies_without_lesion_do_not_judge_and_without_any_nothing_can_be_chosen():
    empty = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), bool), 1.0
    with_empty = {**STUDIES, "empty": empty}
    choice = choose(BOTH, list(with_empty), with_empty.get)
    assert choice.studies == list(STUDIES) and choice.point == choose(BOTH, list(STUDIES), STUDIES.get).point
    with pytest.raises(UserError, match="None of the validation studies has a lesion"):
        choose(BOTH, ["empty"], lambda study: empty)


def test_components_touch_at_corners_and_count_from_the_volume_on():
    probability = np.zeros((5, 5, 5), np.float32)
    probability[0, 0, 0] = probability[1, 1, 1] = probability[4, 4, 4] = 0.9
    assert lesion_mask(probability, OperatingPoint(0.5, 2), 1.0).sum() == 2
    assert lesion_mask(probability, OperatingPoint(0.5, 1), 1.0).sum() == 3
    assert lesion_mask(probability, OperatingPoint(0.5, 2.5), 1.0).sum() == 0
    assert lesion_mask(probability, OperatingPoint(0.95), 1.0).sum() == 0


def test_a_mask_is_written_on_the_grid_and_its_volume_told(tmp_path):
    probability = np.zeros((5, 5, 5), np.float32)
    probability[:2] = 0.5
    volume = write_lesion(Volume(probability, np.diag([2, 2, 5, 1.0])), OperatingPoint(), tmp_path / "mask.nii.gz")
    mask = read_mask(tmp_path / "mask.nii.gz")
    assert mask.data.sum() == 50 and volume == pytest.approx(50 * 20 / 1000)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_probabilities_that_are_no_numbers_stop_by_the_files_name(tmp_path, value):
    with pytest.raises(UserError, match=r"mask\.nii\.gz: the model gives probabilities that are no numbers"):
        write_lesion(Volume(np.full((2, 2, 2), value), np.eye(4)), OperatingPoint(), tmp_path / "mask.nii.gz")
    assert not (tmp_path / "mask.nii.gz").exists()


def test_what_was_chosen_is_read_again_with_its_curves(tmp_path):
    choice = choose(BOTH, list(STUDIES), STUDIES.get)
    write_choice(choice, tmp_path / "point.json")
    assert read_point(tmp_path / "point.json") == choice.point
    record = json.loads((tmp_path / "point.json").read_text())
    assert record["studies"] == list(STUDIES)
    assert record["by_threshold"]["dice"] == pytest.approx(choice.by_threshold)
    assert record["by_min_component_mm3"]["min_component_mm3"] == list(SIZES)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"threshold": 0.5}', '{"threshold": 2, "min_component_mm3": 0}',
             '{"threshold": 0.5, "min_component_mm3": -1}', '{"threshold": NaN, "min_component_mm3": 0}'],
)  # fmt: skip
def test_a_damaged_point_is_named(tmp_path, text):
    (tmp_path / "point.json").write_text(text)
    with pytest.raises(UserError, match=r"point\.json: this is no operating point"):
        read_point(tmp_path / "point.json")


def test_a_run_uses_what_was_chosen_else_what_is_wanted_and_an_ensemble_the_mean_of_its_folds(tmp_path):
    assert find_point({"threshold": 0.4, "min_component_mm3": 3}, []) == OperatingPoint(0.4, 3)
    assert find_point({}, []) is None
    for name, point in (("a", (0.4, 10)), ("b", (0.6, 0))):
        record = dict(zip(("threshold", "min_component_mm3"), point, strict=True))
        (tmp_path / name).write_text(json.dumps(record))
    wanted = {"threshold": "validation", "min_component_mm3": "validation"}
    assert find_point(wanted, [tmp_path / "a"]) == OperatingPoint(0.4, 10)
    assert find_point(wanted, [tmp_path / "a", tmp_path / "b"]) == OperatingPoint(0.5, 5)


def test_studies_are_loaded_as_the_mean_of_the_members_on_the_grid_of_their_reference(tmp_path):
    affine = np.diag([2, 2, 5, 1.0])
    for name, value in (("a", 0.2), ("b", 0.6)):
        write_probability(Volume(np.full((3, 2, 2), value), affine), probability_path(tmp_path / name, "s"))
    write_mask(tmp_path / "mask.nii.gz", np.arange(12).reshape(3, 2, 2) < 4, affine)
    members = [Member(tmp_path / name, made_here=True) for name in "ab"]
    levels, reference, voxel_mm3 = loader(members, {"s": tmp_path / "mask.nii.gz"}, AS_IS)("s")
    assert (levels == 102).all() and reference.sum() == 4 and voxel_mm3 == pytest.approx(20)
