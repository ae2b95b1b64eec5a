"""What the choice of the best row is worth, on made-up scores of known truth and by hand."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from lesionbench.evaluation.selection import (
    Sweep,
    corrected_for_choice,
    judge_sweeps,
    left_out_scores,
    read_validation,
)
from lesionbench.evaluation.simulation import MEAN_DICE, dice_at

LABELS = {"a": "A", "b": "B"}
SWEEP = {"s": Sweep("S", ["a", "b"])}


def validated(*values):
    return pd.DataFrame(values, columns=["model", "fold", "seed", "validation_dice"])


def judged(scores, validation, folds=None):
    trainings = {model: np.asarray(values, float)[None] for model, values in scores.items()}
    return judge_sweeps(SWEEP, trainings, validation, LABELS, folds, 200)


def test_the_best_of_a_draw_is_scored_on_those_left_out():
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.6, 0.8]])
    draws = np.array([[2, 1, 0], [0, 1, 2], [3, 0, 0], [1, 1, 1]])
    # Of the first draw, row 0 has (0.9 + 0.9 + 0.1) / 3 against 1 / 3 and is scored on the last patient: 0.5. Of the
    # second, row 1 is best and scored on the first patient; of the third, row 0 on the two others. The last leaves
    # nobody out.
    assert left_out_scores(scores, draws) == pytest.approx([0.5, 0.2, 0.3])


def test_of_equal_rows_the_first_is_scored():
    scores = np.array([[0.5, 0.5, 0.3], [0.5, 0.5, 0.9]])
    assert left_out_scores(scores, np.array([[2, 1, 0]])) == pytest.approx([0.3])


def test_the_best_of_equal_rows_is_optimistic_and_its_correction_is_not():
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(400):
        scores = dice_at(rng.random(20)) + rng.normal(0, 0.05, (10, 20))
        errors.append((scores.mean(axis=1).max() - MEAN_DICE, corrected_for_choice(scores, 200)[0] - MEAN_DICE))
    (naive, corrected), deviations = np.mean(errors, axis=0), np.std(errors, axis=0) / math.sqrt(len(errors))
    assert naive > 5 * deviations[0] and abs(corrected) < 2.5 * deviations[1]


def test_where_one_row_is_far_better_nothing_is_corrected():
    rng = np.random.default_rng(1)
    scores = np.stack([rng.uniform(0.7, 0.8, 30), rng.uniform(0.1, 0.2, 30)])
    mean, low, high = corrected_for_choice(scores, 2000)
    assert mean == pytest.approx(scores[0].mean(), abs=0.002) and low < scores[0].mean() < high


def test_too_few_patients_give_no_correction():
    assert np.isnan(corrected_for_choice(np.full((2, 5), 0.5), 200)).all()
    assert np.isfinite(corrected_for_choice(np.full((2, 6), 0.5), 200)).all()


def test_the_row_of_the_highest_validation_dice_is_chosen_whatever_the_test_says():
    validation = validated(("a", 3, 0, 0.6), ("a", 3, 1, 0.8), ("b", 3, 0, 0.7), ("b", 3, 1, 0.6))
    sweeps, rows = judged({"a": [0.1] * 8, "b": [0.9] * 8}, validation)
    row = sweeps.iloc[0]
    assert (row["chosen"], row["best"]) == ("a", "b")
    assert (row["chosen_dice"], row["best_dice"]) == (pytest.approx(0.1), pytest.approx(0.9))
    assert rows["validation_dice"].tolist() == pytest.approx([0.7, 0.65])
    assert rows["chosen_folds"].tolist() == [1, 0] and rows["best"].tolist() == [False, True]


def test_each_fold_chooses_for_the_patients_that_it_tests():
    validation = validated(("a", 0, 0, 0.6), ("b", 0, 0, 0.5), ("a", 1, 0, 0.2), ("b", 1, 0, 0.5))
    scores = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.5, 0.6, 0.7, 0.8]}
    sweeps, rows = judged(scores, validation, np.array([1, 0, 0, 1]))
    assert sweeps.loc[0, "chosen"] == "" and rows["chosen_folds"].tolist() == [1, 1]
    assert sweeps.loc[0, "chosen_dice"] == pytest.approx(np.mean([0.5, 0.2, 0.3, 0.8]))


@pytest.mark.parametrize(
    "validation", [None, validated(("a", 0, 0, 0.6)), validated(("a", 0, 0, 0.6), ("b", 0, 0, 0.6))]
)
def test_nothing_is_chosen_where_validation_cannot_tell(validation):
    sweeps, rows = judged({"a": [0.1] * 8, "b": [0.9] * 8}, validation)
    assert sweeps.loc[0, "chosen"] == "" and math.isnan(sweeps.loc[0, "chosen_dice"])
    assert rows["chosen_folds"].tolist() == [0, 0] and sweeps.loc[0, "best"] == "b"


def test_a_sweep_of_which_a_row_is_missing_is_left_out():
    sweeps, rows = judge_sweeps(SWEEP, {"a": np.full((1, 8), 0.5)}, None, LABELS, None, 200)
    assert sweeps.empty and rows.empty


def test_no_scores_at_all_are_no_error():
    sweeps, _ = judged({"a": [], "b": []}, validated(("a", 0, 0, 0.6), ("b", 0, 0, 0.5)))
    assert np.isnan(sweeps.loc[0, ["best_dice", "corrected_dice"]].astype(float)).all()


def test_validation_is_read_at_the_best_epoch(tmp_path):
    for name, best in (("x", 2), ("y", 1)):
        (tmp_path / f"{name}.csv").write_text("epoch,validation_dice\n1,0.3\n2,0.5\n3,0.4\n")
        (tmp_path / f"{name}.json").write_text(json.dumps({"best_epoch": best}))
    paths = [[tmp_path / f"{name}.{suffix}" for name in "xy"] for suffix in ("csv", "json")]
    found = read_validation(*paths, [["m", 0, 0], ["m", 1, 0]])
    assert found.to_dict("list") == {"model": ["m"] * 2, "fold": [0, 1], "seed": [0, 0], "validation_dice": [0.5, 0.3]}
