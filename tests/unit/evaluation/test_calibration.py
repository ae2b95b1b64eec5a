"""What probabilities are worth is the same from histograms as from the voxels themselves."""

import numpy as np
import pandas as pd
import pytest
from monai.metrics import compute_froc_score

from drawn import calibration_of
from lesionbench.data.nifti import write_mask
from lesionbench.data.volume import Volume
from lesionbench.errors import UserError
from lesionbench.evaluation.calibration import (
    COUNTS,
    FROC_LEVELS,
    RATES,
    RECALLS,
    Histograms,
    calibration_curves,
    calibration_scores,
    count_lesions,
    count_levels,
    count_studies,
    froc_curve,
    over_patients,
    reliability_curve,
    sensitivity_at,
)
from lesionbench.evaluation.metrics import MaskPair
from lesionbench.evaluation.scoring import Scoring
from lesionbench.segmentation.lung_box import LUNGS, LungBox
from lesionbench.segmentation.probabilities import THRESHOLDS, probability_path, write_probability

AFFINE = np.diag([2.0, 2, 4, 1])
BOX = LungBox(LUNGS, (slice(2, 12), slice(0, 10), slice(1, 7)))
LABELS = {"a": "A", "b": "B"}


def study(seed, lesion=True):
    """Levels and a reference that agree in part."""
    random = np.random.default_rng(seed)
    reference = np.zeros((14, 12, 8), np.uint8)
    if lesion:
        reference[3:6, 2:7, 2:5] = reference[8:11, 8:11, 5:7] = 1
    levels = np.clip(random.normal(60 + 120 * reference, 50), 0, 255).astype(np.uint8)
    return levels, reference


def histograms(*studies):
    rows = [count_levels(*one, BOX).assign(study=str(number), seed=0) for number, one in enumerate(studies)]
    return Histograms.of(pd.concat(rows))


def test_levels_are_counted_in_the_scan_and_in_the_box():
    levels, reference = study(1)
    counts = count_levels(levels, reference, BOX)
    assert counts[COUNTS].sum().tolist() == [
        levels.size, reference.sum(), levels[BOX.slices].size, reference[BOX.slices].sum()
    ]  # fmt: skip
    level = levels[reference == 1][0]
    row = counts[counts["level"] == level].iloc[0]
    assert row["voxels"] == (levels == level).sum() and row["lesion"] == reference[levels == level].sum() > 0


def test_calibration_is_that_of_the_voxels_in_the_box():
    levels, reference = study(1)
    scores = histograms((levels, reference)).scores().iloc[0]
    p, truth = (part[BOX.slices].ravel() for part in (levels / 255, reference))
    assert scores["brier"] == pytest.approx(np.mean((p - truth) ** 2))
    inside = np.clip(p, 0.25 / 255, 1 - 0.25 / 255)
    assert scores["nll"] == pytest.approx(-np.mean(np.log(np.where(truth, inside, 1 - inside))))
    bins = np.minimum((p * 10 + 1e-9).astype(int), 9)
    gaps = [abs(truth[bins == k].mean() - p[bins == k].mean()) * (bins == k).mean() for k in set(bins)]
    assert scores["ece"] == pytest.approx(sum(gaps))


def test_sure_and_right_has_no_error_and_sure_and_wrong_the_largest():
    reference = study(1)[1]
    right, wrong = (histograms((255 * mask, reference)).scores().iloc[0] for mask in (reference, 1 - reference))
    assert right[["ece", "brier"]].tolist() == [0, 0] and right["average_precision"] == 1
    assert wrong["brier"] == 1 and wrong["nll"] == pytest.approx(-np.log(0.25 / 255)) and right["nll"] < 1e-3


def test_average_precision_is_that_of_the_ranked_voxels():
    levels, reference = study(2)
    steps, before = 0.0, 0
    for level in np.unique(levels)[::-1]:
        found = reference[levels >= level]
        steps += (found.sum() - before) / reference.sum() * found.mean()
        before = found.sum()
    assert histograms((levels, reference)).average_precision() == pytest.approx([steps])


def test_dice_at_each_threshold_is_that_of_the_mask():
    levels, reference = study(3)
    dice = histograms((levels, reference)).dice().iloc[0]
    for threshold in THRESHOLDS[[0, 50, 127, 254]]:
        pair = MaskPair(Volume(reference, AFFINE), Volume(levels / 255 >= threshold, AFFINE), "axial", Scoring())
        assert dice[threshold] == pytest.approx(2 * pair.both / (pair.voxels + pair.predicted))


def test_precision_at_a_recall_is_the_best_there_or_further_on():
    levels, reference = study(4)
    curve = histograms((levels, reference)).precision().iloc[0]
    points = [
        (reference[levels >= k].sum() / reference.sum(), reference[levels >= k].mean()) for k in np.unique(levels)
    ]
    for recall in RECALLS[[0, 33, 80, 100]]:
        assert curve[recall] == pytest.approx(max(precision for at, precision in points if at >= recall - 1e-9))
    assert (curve.diff().dropna() <= 1e-12).all()


def test_without_lesion_calibration_is_defined_and_overlap_is_not():
    both = histograms(study(1), study(2, lesion=False))
    scores = both.scores()
    assert scores[["ece", "brier", "nll"]].notna().all(axis=None)
    assert scores["average_precision"].isna().tolist() == [False, True]
    assert both.dice().isna().all(axis=1).tolist() == both.precision().isna().all(axis=1).tolist() == [False, True]


def test_lesions_at_a_level_are_those_of_the_tables():
    levels, reference = (Volume(part, AFFINE) for part in study(5))
    table = count_lesions(levels, reference, Scoring()).set_index("level")
    assert table.index.tolist() == list(FROC_LEVELS)
    pair = MaskPair(reference, Volume((levels.data >= 128).astype(np.uint8), AFFINE), "axial", Scoring())
    assert table.loc[128].tolist() == [pair.loose.found, pair.loose.missed, pair.loose.false]
    assert table["false"].max() > 0 and table["found"].max() > 0


def test_the_froc_pools_lesions_and_averages_trainings():
    rows = [("s", 0, 128, 3, 1, 2), ("t", 0, 128, 0, 4, 0), ("s", 1, 128, 4, 0, 4), ("t", 1, 128, 4, 0, 0)]
    lesions = pd.DataFrame(rows, columns=["study", "seed", "level", "found", "missed", "false"])
    assert froc_curve(lesions).to_numpy().tolist() == [[(1 + 2) / 2, (3 / 8 + 1) / 2]]
    assert froc_curve(lesions.assign(found=0, missed=0))["y"].isna().all()


def test_the_froc_never_turns_back():
    rows = [
        ("s", 0, 200, 1, 3, 0),
        ("s", 0, 128, 3, 1, 1),
        ("s", 0, 60, 2, 2, 1),
        ("s", 0, 20, 1, 3, 2),
        ("s", 0, 5, 4, 0, 3),
    ]
    lesions = pd.DataFrame(rows, columns=["study", "seed", "level", "found", "missed", "false"])
    assert froc_curve(lesions).to_numpy().tolist() == [[0, 0.25], [1, 0.75], [3, 1]]


def test_the_mean_sensitivity_is_monais_where_the_rates_are_on_the_curve():
    sensitivity = np.linspace(0.2, 0.9, len(RATES))
    froc = pd.DataFrame({"x": RATES, "y": sensitivity})
    assert sensitivity_at(froc) == pytest.approx(compute_froc_score(np.array(RATES[::-1]), sensitivity[::-1], RATES))
    assert sensitivity_at(froc.assign(x=100.0)) == 0
    assert sensitivity_at(froc.assign(x=[1.0] * 7)) == pytest.approx(4 / 7 * 0.9)
    assert np.isnan(sensitivity_at(froc.assign(y=np.nan)))


def test_a_patient_counts_once_and_a_studys_trainings_before():
    index = pd.MultiIndex.from_tuples([("s", 0), ("s", 1), ("t", 0), ("u", 0)], names=["study", "seed"])
    values = pd.DataFrame({"x": [0.0, 1.0, 0.1, 0.9]}, index)
    assert over_patients(values, {"s": "P", "t": "P"})["x"] == pytest.approx(((0.5 + 0.1) / 2 + 0.9) / 2)


def test_reliability_is_the_share_of_lesion_in_each_bin_with_studies_weighing_the_same():
    levels = np.full((14, 12, 8), 102, np.uint8)
    half, none = np.zeros_like(levels), np.zeros_like(levels)
    half[:, :5] = 1
    curve = reliability_curve(histograms((levels, half), (levels, none)), {})
    assert curve.to_numpy() == pytest.approx(np.array([[0.4, 0.25]]))


def test_scores_and_curves_of_models_agree():
    counts = calibration_of(LABELS, studies=4, seeds=2, empty=1)
    scores, curves = calibration_scores(*counts, {}), calibration_curves(*counts, {})
    assert scores["model"].tolist() == list(LABELS) and scores.notna().all(axis=None)
    for model, row in scores.set_index("model").iterrows():
        dice = curves[(curves["model"] == model) & (curves["curve"] == "dice")].set_index("x")["y"]
        assert (row["dice_at_half"], row["best_dice"]) == (dice[0.5], dice.max())
        assert row["best_threshold"] == dice.idxmax()
    assert set(curves["curve"]) == {"reliability", "precision_recall", "froc", "dice"}


def test_without_any_lesion_what_needs_some_is_undefined():
    scores = calibration_scores(*calibration_of(LABELS, studies=2, empty=2), {})
    assert scores[["ece", "brier", "nll"]].notna().all(axis=None)
    assert scores[["average_precision", "froc", "dice_at_half", "best_dice", "best_threshold"]].isna().all(axis=None)


def test_studies_are_counted_from_their_files(tmp_path):
    for name, (levels, reference) in {"s": study(1), "t": study(2, lesion=False)}.items():
        write_probability(Volume(levels / 255, AFFINE), probability_path(tmp_path, name))
        write_mask(tmp_path / f"{name}_mask.nii.gz", reference, AFFINE)
    references = {name: tmp_path / f"{name}_mask.nii.gz" for name in "st"}
    counts, lesions = count_studies(tmp_path, references, {"s": BOX, "t": BOX}, Scoring())
    assert counts[counts["study"] == "s"]["lesion"].sum() == study(1)[1].sum()
    expected = count_levels(*study(1), BOX)
    assert (counts[counts["study"] == "s"][["level", *COUNTS]].reset_index(drop=True) == expected).all(axis=None)
    assert lesions.groupby("study").size().to_dict() == dict.fromkeys("st", len(FROC_LEVELS))
    write_mask(tmp_path / "t_mask.nii.gz", study(2)[1][:5], AFFINE)
    with pytest.raises(UserError, match="t: prediction and reference lie on different grids"):
        count_studies(tmp_path, references, {"s": BOX, "t": BOX}, Scoring())


def test_a_folder_without_probabilities_counts_nothing_and_nothing_at_all_is_refused(tmp_path):
    write_mask(tmp_path / "s_mask.nii.gz", study(1)[1], AFFINE)
    counts, lesions = count_studies(tmp_path, {"s": tmp_path / "s_mask.nii.gz"}, {"s": BOX}, Scoring())
    assert list(counts.columns) == ["study", "level", *COUNTS] and counts.empty and lesions.empty
    with pytest.raises(UserError, match=r"evaluation\.probabilities: none of the models leaves probabilities"):
        calibration_scores(counts, lesions, {})
