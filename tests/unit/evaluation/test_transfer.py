"""External sets beside the data set: means, and changes with their intervals, by patient."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lesionbench.evaluation.comparison import compare_models
from lesionbench.evaluation.transfer import COLUMNS, compare_sets

LABELS = {"a": "Model A", "b": "Model B"}


def comparison(dice, labels=LABELS):
    """A comparison of models by their Dice: a row a study, a column a model."""
    rows = [
        {"model": model, "fold": 0, "seed": 0, "study": study, "dice": value, "reference_ml": 5.0}
        for model in labels
        for study, value in dice[model].items()
    ]
    scores = pd.DataFrame(rows)
    return compare_models(scores, scores.assign(slice=0, reference_voxels=1, predicted_voxels=1), labels, resamples=50)


def scores(seed, studies, shift=0.0):
    rng = np.random.default_rng(seed)
    names = [f"{seed}-{number}" for number in range(studies)]
    return pd.DataFrame({model: rng.uniform(0.3, 0.9, studies) - shift for model in LABELS}, index=names)


def test_the_change_is_the_difference_of_the_means_with_welchs_interval():
    inside, outside = scores(1, 12), scores(2, 7, shift=0.2)
    found = compare_sets(comparison(inside), {"Elsewhere": comparison(outside)}, [{}, {}], "here")
    assert list(found) == COLUMNS and found["set"].tolist() == ["here", "here", "Elsewhere", "Elsewhere"]
    assert found["studies"].tolist() == [12, 12, 7, 7]
    row = found.iloc[3]
    assert row["mean_dice"] == pytest.approx(outside["b"].mean())
    assert row["change"] == pytest.approx(outside["b"].mean() - inside["b"].mean())
    expected = stats.ttest_ind(outside["b"], inside["b"], equal_var=False).confidence_interval(0.95)
    assert (row["change_low"], row["change_high"]) == pytest.approx((expected.low, expected.high))
    assert found.loc[found["set"] == "here", ["change", "change_low", "change_high"]].isna().all(axis=None)


def test_a_patient_counts_once_in_the_change():
    inside, outside = scores(1, 8), scores(2, 3)
    repeated = pd.concat([outside, outside.rename(index="{}-again".format)])
    patients = {name: name.removesuffix("-again") for name in repeated.index}
    once = compare_sets(comparison(inside), {"Out": comparison(outside)}, [{}, {}], "here")
    twice = compare_sets(comparison(inside), {"Out": comparison(repeated)}, [{}, patients], "here")
    columns = ["patients", "change", "change_low", "change_high"]
    np.testing.assert_allclose(once[columns].astype(float), twice[columns].astype(float))
    assert twice["studies"].tolist() == [8, 8, 6, 6]


def test_a_model_that_is_not_tested_on_a_set_has_no_row_there():
    out = comparison(scores(2, 4), {"b": "Model B"})
    found = compare_sets(comparison(scores(1, 5)), {"Out": out}, [{}, {}], "here")
    assert found.loc[found["set"] == "Out", "model"].tolist() == ["b"]


def test_one_patient_has_a_change_and_no_interval():
    found = compare_sets(comparison(scores(1, 5)), {"Out": comparison(scores(2, 1))}, [{}, {}], "here").iloc[-1]
    assert np.isfinite(found["change"]) and np.isnan([found["change_low"], found["change_high"]]).all()
