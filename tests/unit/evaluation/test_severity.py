"""Shares of the lungs against classes: the measures are those of SciPy on drawn samples, the unit is the patient."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from drawn import shares_of
from lesionbench.evaluation.severity import LEAST, MEASURES, grade, judge_severity, measure_agreement


def kappa_by_hand(grades, classes):
    apart = ((grades[:, None] - classes[None]) ** 2).mean()  # by chance
    return 1 - ((grades - classes) ** 2).mean() / apart


def test_shares_are_cut_at_the_bounds_of_the_classes():
    shares = [0, LEAST - 1e-6, LEAST, 0.25, 0.2501, 0.5, 0.5001, 0.75, 0.7501, 1]
    assert grade(np.array(shares)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_the_measures_are_those_of_the_studies_repeated():
    random = np.random.default_rng(0)
    classes = random.integers(0, 5, 60)
    shares = np.clip(classes / 5 + random.normal(0, 0.2, 60), 0, 1).round(1)  # with ties
    weights = random.integers(0, 3, (5, 60))
    for count, found in zip(weights, measure_agreement(shares, classes, weights), strict=True):
        share, level = np.repeat(shares, count), np.repeat(classes, count)
        areas = [
            stats.mannwhitneyu(share[level > bound], share[level <= bound]).statistic
            / ((level > bound).sum() * (level <= bound).sum())
            for bound in (0, 1)
        ]
        expected = [stats.spearmanr(share, level).statistic, *areas, kappa_by_hand(grade(share), level)]
        np.testing.assert_allclose(found, expected)


def test_what_is_undefined_is_nan():
    (same,) = measure_agreement(np.zeros(4), np.array([0, 1, 2, 3]), np.ones((1, 4)))
    assert np.isnan(same[0]) and same[1:].tolist() == [0.5, 0.5, 0]
    (healthy,) = measure_agreement(np.array([0.0, 0.1]), np.array([0, 0]), np.ones((1, 2)))
    assert np.isnan(healthy[[0, 1, 2]]).all()


def test_a_model_that_knows_is_told_from_one_that_guesses():
    shares = shares_of(["knows", "knows too", "guesses"], (20, 40, 15, 8, 4))
    guesses = shares["model"] == "guesses"
    shares.loc[guesses, "share"] = np.random.default_rng(1).permutation(shares.loc[guesses, "share"])
    severity = judge_severity(shares, {}, 500)
    scores = severity.scores.set_index("model")
    assert (scores.loc["knows", list(MEASURES)] > 0.85).all() and scores.loc["guesses", "spearman"] < 0.4
    for measure in MEASURES:
        inside = scores[measure].between(scores[f"{measure}_low"], scores[f"{measure}_high"])
        assert inside.all() and scores.loc["guesses", f"{measure}_low"] < scores.loc["guesses", f"{measure}_high"]
    pairs = severity.pairs.set_index(["first", "second", "measure"])
    assert (pairs["p_holm"] >= pairs["p"]).all()
    assert pairs.loc[("knows", "guesses"), "p_holm"].max() < 0.01
    assert pairs.loc[("knows", "knows too"), "p_holm"].min() > 0.05
    assert (pairs["difference"].between(pairs["low"], pairs["high"])).all()


def test_equal_models_do_not_differ():
    one = shares_of(["one"])
    pairs = judge_severity(pd.concat([one, one.assign(model="other")]), {}, 100).pairs
    assert (pairs["difference"] == 0).all() and (pairs["p_holm"] == 1).all()


def test_patients_are_drawn_and_not_studies():
    shares = shares_of(["one"], (10, 20, 10, 5, 5))
    copies = pd.concat([shares.assign(study=shares["study"] + end) for end in ("a", "b", "c", "d")])
    owners = {study: study[:-1] for study in copies["study"]}
    alone, owned, free = (
        judge_severity(*given, 400).scores for given in ((shares, {}), (copies, owners), (copies, {}))
    )
    widths = [float((frame["kappa_high"] - frame["kappa_low"]).iloc[0]) for frame in (alone, owned, free)]
    assert owned["patients"].tolist() == [50] and owned["studies"].tolist() == [200]
    assert widths[1] == pytest.approx(widths[0], rel=0.15) and widths[2] < 0.7 * widths[0]


def test_studies_without_lungs_are_left_out_of_all_models_and_named():
    shares = shares_of(["one", "other"])
    shares.loc[shares["study"] == "study_3", "share"] = np.nan
    severity = judge_severity(shares, {}, 50)
    assert severity.left_out == ["study_3"] and severity.scores["studies"].tolist() == [21, 21]
    assert severity.classes.groupby("model")["studies"].sum().tolist() == [21, 21]


def test_few_patients_have_no_interval():
    severity = judge_severity(shares_of(["one", "other"], (1, 2, 1, 1, 0)), {}, 50)
    assert severity.scores["spearman"].notna().all() and severity.scores["spearman_low"].isna().all()
    assert severity.pairs["p"].isna().all()


def test_classes_are_counted_as_they_are_cut():
    classes = judge_severity(shares_of(["one"]), {}, 10).classes.set_index("category")
    cuts = classes[[f"CT-{k}" for k in range(5)]]
    assert classes["studies"].tolist() == [5, 8, 4, 3, 2] == cuts.sum(axis="columns").tolist()
    assert classes["median"].is_monotonic_increasing
