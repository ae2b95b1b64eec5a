"""What the readers of a comparison are given, and that its file keeps every value as it was."""

import json
import math

import pandas as pd
import pytest

from lesionbench.errors import UserError
from lesionbench.evaluation.comparison import compare_models, read_comparison, write_comparison
from lesionbench.evaluation.simulation import coverage_of_mean
from scored import LABELS, REFERENCE, compared, score_frames

FRAMES = ("models", "pairs", "ranks", "readings")


def assert_same_frame(one, other):
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize("studies", [2, 10], ids=["without ranks", "with ranks"])
@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS], ids=["one model", "two models"])
def test_a_comparison_comes_back_from_its_file_to_the_last_digit(tmp_path, labels, studies):
    comparison = compared(labels, studies)
    write_comparison(comparison, tmp_path / "comparison.json")
    read = read_comparison(tmp_path / "comparison.json")
    assert read.labels == labels and list(read.labels) == list(labels)
    assert read.sample == comparison.sample
    assert list(read.scores) == list(comparison.scores) and comparison.scores["hd95_mm"].isna().any(axis=None)
    for metric, scores in comparison.scores.items():
        assert_same_frame(read.scores[metric], scores)
    for name in FRAMES:
        assert_same_frame(getattr(read, name), getattr(comparison, name))


def test_types_are_kept_where_a_value_is_undefined(tmp_path):
    write_comparison(compared(studies=2), tmp_path / "comparison.json")
    read = read_comparison(tmp_path / "comparison.json")
    assert read.models["paper_mean_dice"].notna().all() and read.ranks.isna().all(axis=None)
    assert read.models["false_positive_ml"].isna().all() and read.models["false_positive_ml"].dtype == float
    assert read.pairs["wins"].dtype == int and read.pairs["different"].tolist() == [False]
    assert read.pairs["different"].dtype == bool and read.ranks.columns.tolist() == [1, 2]


def test_names_that_read_as_numbers_stay_text(tmp_path):
    labels = {"1": "007", "NA": "{null} é"}
    by_study, by_slice = score_frames(labels)
    names = {name: f"{number:03d}" for number, name in enumerate(by_study["study"].unique())}
    frames = [frame.assign(study=frame["study"].map(names)) for frame in (by_study, by_slice)]
    write_comparison(compare_models(*frames, labels, resamples=100), tmp_path / "comparison.json")
    read = read_comparison(tmp_path / "comparison.json")
    assert read.models["model"].tolist() == ["1", "NA"] and read.models["label"].tolist() == list(labels.values())
    assert read.dice.index.tolist() == list(names.values()) and read.dice.columns.tolist() == ["1", "NA"]


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_text(""),
    "another JSON": lambda path: path.write_text("[1, 2]"),
    "without scores": lambda path: edit(path, lambda content: content.pop("scores")),
    "scores that are a list": lambda path: edit(path, lambda content: content.update(scores=[])),
    "without a sample": lambda path: edit(path, lambda content: content.pop("sample")),
    "without labels": lambda path: edit(path, lambda content: content.pop("labels")),
    "a column too short": lambda path: edit(path, lambda content: content["ranks"]["columns"][0]["values"].pop()),
    "an unknown type": lambda path: edit(path, lambda content: content["ranks"]["columns"][0].update(type="shape")),
}


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "comparison.json"
    write_comparison(compared(), path)
    damage(path)
    with pytest.raises(UserError, match=r"comparison\.json: cannot be read as a comparison .*Delete it and run"):
        read_comparison(path)


def test_each_model_has_its_mean_beside_the_reference_results():
    comparison = compared()
    rows = comparison.models.set_index("model")
    assert rows.index.tolist() == list(LABELS)
    for name, mean, maximum in REFERENCE:
        dice, row = comparison.dice[name], rows.loc[name]
        assert row[["mean_dice", "max_dice", "min_dice", "median"]].tolist() == pytest.approx(
            [dice.mean(), dice.max(), dice.min(), dice.median()]
        )
        assert row[["mean_difference", "max_difference"]].tolist() == pytest.approx(
            [dice.mean() - mean, dice.max() - maximum]
        )
        assert row["recipe_low"] < row["mean_low"] < row["mean_dice"] < row["mean_high"] < row["recipe_high"]
        assert row["ranked_first"] == comparison.ranks.loc[name, 1] and row["trainings"] == 2


def test_models_without_reference_results_have_no_difference_from_them():
    rows = compared(reference=[["unet", 0.6, 0.8]]).models.set_index("model")
    assert rows.loc["unet", "paper_mean_dice"] == 0.6
    assert rows.loc["unet_vgg19", ["paper_mean_dice", "mean_difference", "max_difference"]].isna().all()


def test_table_and_pairs_stand_on_the_studies_that_every_model_has():
    by_study, by_slice = score_frames()
    missing = (by_study["study"] == "study_0003") & (by_study["model"] == "unet") & (by_study["seed"] == 1)
    by_study.loc[missing, "dice"] = math.nan
    comparison = compare_models(by_study, by_slice, LABELS, resamples=100)
    assert (comparison.sample.studies, comparison.sample.unscored) == (9, 1) and len(comparison.dice) == 9
    first, second = comparison.models["mean_dice"]
    assert comparison.pairs.loc[0, "difference"] == pytest.approx(first - second)
    kept = by_study[by_study["study"] != "study_0003"]
    assert first == pytest.approx(kept.loc[kept["model"] == "unet", "dice"].mean())


def test_false_lesions_where_there_are_none_change_no_mean():
    """Six studies with lesion and six without, in which one model marks lesions and the other is silent."""
    lesion = [f"lesion_{number}" for number in range(6)]
    rows = [
        (model, 0, 0, study, dice if study in lesion else empty, 9.0 * (study in lesion), marked)
        for model, dice, empty, marked in (("a", 0.74, 0.0, 5.0), ("b", 0.64, math.nan, 0.0))
        for study in lesion + [f"empty_{number}" for number in range(6)]
    ]
    columns = ["model", "fold", "seed", "study", "dice", "reference_ml", "predicted_ml"]
    by_study = pd.DataFrame(rows, columns=columns)
    by_study["dice"] += [0.001 * number for number in range(12)] * 2
    by_slice = by_study[columns[:5]].assign(slice=0, reference_voxels=9, predicted_voxels=9)
    comparison = compare_models(by_study, by_slice, {"a": "A", "b": "B"}, resamples=200)
    models, pair = comparison.models.set_index("model"), comparison.pairs.iloc[0]
    assert models["mean_dice"].tolist() == pytest.approx([0.7425, 0.6425])
    assert pair["difference"] == pytest.approx(0.1) and pair["wins"] == 6
    assert comparison.readings["study"].tolist() == pytest.approx([0.7425, 0.6425])
    assert models["false_positive_ml"].tolist() == [5, 0] and models["any_false_positive"].tolist() == [1, 0]
    assert comparison.sample.lesion_free == 6 and comparison.scores["dice"].isna().sum().tolist() == [6, 6]


def test_patients_count_once_and_folds_are_theirs():
    by_study, by_slice = score_frames(seeds=(0,))
    numbers = by_study["study"].str[-1].astype(int)
    patients = {study: f"patient_{min(int(study[-1]), 6)}" for study in by_study["study"].unique()}
    comparison = compare_models(by_study, by_slice, LABELS, (), 100, patients)
    whose = by_study["study"].map(patients)
    expected = by_study[by_study["model"] == "unet"].groupby(whose)["dice"].mean().mean()
    assert comparison.models.loc[0, "mean_dice"] == pytest.approx(expected)
    assert (comparison.sample.studies, comparison.sample.patients) == (10, 7)
    assert comparison.sample.coverage == coverage_of_mean(7) and comparison.pairs["recipe_low"].isna().all()
    by_fold = by_study.assign(fold=numbers.clip(upper=6) // 3)
    crossed = compare_models(by_fold, by_slice, LABELS, (), 100, patients, test_share=0.5)
    assert crossed.sample.folds == 3 and crossed.pairs["recipe_low"].notna().all()
    assert crossed.pairs["low"].tolist() == comparison.pairs["low"].tolist()


def test_pairs_bear_the_labels_and_metrics_that_were_not_computed_are_left_out():
    comparison = compared()
    assert comparison.pairs[["first_label", "second_label"]].to_numpy().tolist() == [list(LABELS.values())]
    assert list(comparison.scores) == ["dice", "precision", "hd95_mm", "reference_ml", "predicted_ml"]
