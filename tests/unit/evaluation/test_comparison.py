"""What the readers of a comparison are given, and that its file keeps every value as it was."""

import json
import math

import pandas as pd
import pytest

from lesionbench.errors import UserError
from lesionbench.evaluation.comparison import compare_models, read_comparison, write_comparison
from lesionbench.evaluation.statistics import mean_interval, rank_distribution
from scored import LABELS, REFERENCE, compared, score_frames

FRAMES = ("models", "pairs", "ranks", "readings")


def assert_same_frame(one, other):
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize("studies", [2, 10], ids=["without intervals", "with intervals"])
@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS], ids=["one model", "two models"])
def test_a_comparison_comes_back_from_its_file_to_the_last_digit(tmp_path, labels, studies):
    comparison = compared(labels, studies)
    write_comparison(comparison, tmp_path / "comparison.json")
    read = read_comparison(tmp_path / "comparison.json")
    assert read.labels == labels and list(read.labels) == list(labels)
    assert list(read.scores) == list(comparison.scores) and comparison.scores["hd95_mm"].isna().any(axis=None)
    for metric, scores in comparison.scores.items():
        assert_same_frame(read.scores[metric], scores)
    for name in FRAMES:
        assert_same_frame(getattr(read, name), getattr(comparison, name))


def test_types_are_kept_where_a_value_is_undefined(tmp_path):
    write_comparison(compared(studies=2), tmp_path / "comparison.json")
    read = read_comparison(tmp_path / "comparison.json")
    assert read.models["mean_low"].isna().all() and read.models["mean_low"].dtype == float
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
        assert [row["mean_dice"], row["max_dice"], row["median"]] == [dice.mean(), dice.max(), dice.median()]
        assert [row["mean_difference"], row["max_difference"]] == [dice.mean() - mean, dice.max() - maximum]
        assert [row["mean_low"], row["mean_high"]] == list(mean_interval(dice, resamples=100))
        assert row["ranked_first"] == rank_distribution(comparison.dice, 100).loc[name, 1]


def test_models_without_reference_results_have_no_difference_from_them():
    rows = compared(reference=[["unet", 0.6, 0.8]]).models.set_index("model")
    assert rows.loc["unet", "paper_mean_dice"] == 0.6
    assert rows.loc["unet_vgg19", ["paper_mean_dice", "mean_difference", "max_difference"]].isna().all()


def test_undefined_scores_count_in_no_mean():
    by_study, by_slice = score_frames()
    by_study.loc[by_study["study"] == "study_0003", "dice"] = math.nan
    row = compare_models(by_study, by_slice, LABELS, resamples=100).models.iloc[0]
    defined = by_study[(by_study["model"] == "unet") & by_study["dice"].notna()]
    assert [row["studies"], row["undefined"]] == [9, 1]
    assert row["mean_dice"] == pytest.approx(defined.groupby("study")["dice"].mean().mean())


def test_pairs_bear_the_labels_and_metrics_that_were_not_computed_are_left_out():
    comparison = compared()
    assert comparison.pairs[["first_label", "second_label"]].to_numpy().tolist() == [list(LABELS.values())]
    assert list(comparison.scores) == ["dice", "precision", "hd95_mm", "reference_ml", "predicted_ml"]
