"""Slices to show are chosen by rule, or those that are listed."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lesionbench.errors import UserError
from lesionbench.report.shown_slices import (
    KINDS,
    Pick,
    check_listed,
    lesion_run,
    listed_slices,
    median_dice,
    middle_study,
    ranked_studies,
    study_dice,
    varied_slices,
    viewed_study,
)


def test_the_middle_study_has_the_median_volume_of_those_with_lesion():
    assert middle_study({"a": 5, "b": 0, "c": 0, "d": 1, "e": 9}) == "a"
    assert middle_study({"b": 0, "a": 0}) == "b"


def test_the_dice_of_a_study_is_that_of_its_volume():
    slices = pd.DataFrame(
        {
            "study": ["a", "a", "b", "c"],
            "reference_voxels": [10, 0, 0, 4],
            "predicted_voxels": [6, 4, 3, 0],
            "dice": [0.5, 0, 0, 0],
        }
    )
    assert study_dice(slices) == pytest.approx({"a": 8 / 20, "b": np.nan, "c": 0}, nan_ok=True)


def test_worst_median_and_best_study_are_taken_by_dice():
    dice = {"e": 0.9, "d": np.nan, "c": 0.0, "b": 0.5, "a": 0.7, "f": 0.6}
    assert ranked_studies(dice) == {"worst": "c", "median": "f", "best": "e"}
    assert ranked_studies(dice | {"g": 0.65, "a": np.nan, "c": np.nan}) == {"worst": "b", "median": "f", "best": "e"}
    assert ranked_studies({"a": 0.7, "b": 0.5}) == {"worst": "b", "best": "a"}
    assert ranked_studies({"a": 0.7, "b": np.nan}) == {"only": "a"} == ranked_studies({"b": np.nan, "a": np.nan})


def test_the_median_over_models_ranks_studies():
    def of(*dice):
        values = {"study": list("abc"), "reference_voxels": [5, 5, 0], "predicted_voxels": 5, "dice": [*dice, 0.0]}
        return pd.DataFrame(values)

    dice = median_dice([of(0.2, 0.9), of(0.4, 0.5), of(0.9, 0.6)])
    assert dice == pytest.approx({"a": 0.4, "b": 0.6, "c": np.nan}, nan_ok=True)


def test_a_study_without_lesion_stands_in_where_there_are_too_few():
    ranks = ["worst", "median", "best"]
    dice = {"a": np.nan, "b": 0.5, "c": 0.7, "d": np.nan}
    assert [viewed_study(dice, rank, ranks) for rank in ranks] == [("b", "worst"), ("a", ""), ("c", "best")]
    dice = {"a": np.nan, "b": 0.5, "c": np.nan}
    assert [viewed_study(dice, rank, ranks) for rank in ranks] == [("b", "only"), ("a", ""), ("c", "")]
    assert viewed_study({"a": np.nan}, "only", ["only"]) == ("a", "")


def test_a_run_of_slices_holds_most_lesion():
    voxels = [0, 0, 1, 5, 5, 5, 1, 0, 0, 0]
    assert lesion_run(voxels, 3) == [3, 4, 5]
    assert lesion_run(voxels, 3, step=2) == [1, 3, 5]
    assert lesion_run(voxels, 12) == list(range(10))
    assert lesion_run([0] * 10, 4, step=5) == [0, 2, 4, 6]


def slice_scores():
    """Two models, two studies of 40 slices: runs found, partly found, barely found, missed, false positive; empty."""
    rows = []
    for model, factor in (("a", 1.0), ("b", 0.8)):
        for study in ("study_0001", "study_0002"):
            for index in range(40):
                reference = 50 + index if index < 24 else 0
                predicted = 40 if index < 20 or 24 <= index < 30 else 0
                scores = [0.95, 0.95, 0.5, 0.5, 0.1 * (model == "a"), 0, 0, 0, 0, 0]
                dice = scores[index // 4] * factor if reference or predicted else np.nan
                rows.append((model, study, index, reference, predicted, dice))
    return pd.DataFrame(rows, columns=["model", "study", "slice", "reference_voxels", "predicted_voxels", "dice"])


def test_chosen_slices_cover_all_kinds_in_both_studies_without_neighbours():
    picks = varied_slices(slice_scores())
    assert len(picks) == 14 == len(set(picks))
    assert {pick.kind for pick in picks} == set(KINDS)
    assert sum(pick.kind == "empty" for pick in picks) == 1
    assert picks == sorted(picks)
    assert abs(sum(pick.study == "study_0001" for pick in picks) - 7) <= 2
    for one, other in itertools.combinations(picks, 2):
        assert one.study != other.study or abs(one.slice - other.slice) > 2


def test_as_many_slices_are_chosen_as_there_are():
    scores = slice_scores()
    picks = varied_slices(scores[(scores["study"] == "study_0001") & (scores["slice"] >= 38)])
    assert [pick.kind for pick in picks] == ["empty"]


def test_listed_slices_keep_their_order_and_are_checked():
    scores = slice_scores()
    wanted = [{"study": "study_0002", "slice": 20}, {"study": "study_0001", "slice": 1}]
    assert listed_slices(wanted, scores) == [Pick("study_0002", 20, "missed"), Pick("study_0001", 1, "found")]
    # What one model marks a little of is not missed, however low the mean.
    assert listed_slices([{"study": "study_0001", "slice": 18}], scores)[0].kind == "barely found"
    with pytest.raises(UserError, match=r"figures\.slices: study_0009 is not a test study.*study_0001, study_0002"):
        listed_slices([{"study": "study_0009", "slice": 1}], scores)
    with pytest.raises(UserError, match=r"study_0001 has no slice 40.*0 to 39"):
        listed_slices([{"study": "study_0001", "slice": 40}], scores)


def test_a_listed_slice_that_a_study_does_not_have_is_refused_by_the_inventory():
    studies = pd.DataFrame({"study": ["a", "b"], "axial_slices": [9, 4], "coronal_slices": [32, 32]})
    check_listed("auto", studies, "axial")
    check_listed([{"study": "a", "slice": 8}, {"study": "b", "slice": 3}], studies, "axial")
    check_listed([{"study": "b", "slice": 31}], studies, "coronal")
    with pytest.raises(UserError, match=r"figures\.slices: b has no slice 4\. Choose from 0 to 3"):
        check_listed([{"study": "a", "slice": 8}, {"study": "b", "slice": 4}], studies, "axial")
