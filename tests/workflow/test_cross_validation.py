"""A cross-validation of a model that is trained with several seeds."""

import json

import pandas as pd
import pytest

from checkout import copy_checkout

CONFIG = {
    "dataset": {"phantom": {"studies": 4, "annotated": 4, "slices": [4, 5]}},
    "split": {"protocol": "cross-validation", "folds": 2},
    "seeds": [0, 1],
    "compare": ["small"],
}
TABLES = ["comparison", "cost", "per_study", "slices_by_subset"]
RUNS = [(fold, seed) for fold in (0, 1) for seed in (0, 1)]


@pytest.fixture(scope="module")
def results(repository, tmp_path_factory):
    """The results of two folds by two seeds: the tables, and the figure of all trainings."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("folds"))
    wanted = [*(f"tables/{name}.csv" for name in TABLES), "figures/learning_curves.png"]
    checkout.snakemake(*(f"results/tiny/{name}" for name in wanted), config=CONFIG)
    return checkout.folder / "results" / "tiny"


@pytest.fixture(scope="module")
def tables(results):
    return {name: pd.read_csv(results / "tables" / f"{name}.csv") for name in TABLES}


@pytest.fixture(scope="module")
def scores(results):
    """The Dice of each study in each run."""
    folder = results / "metrics" / "small"
    frames = {
        (fold, seed): pd.read_csv(folder / f"fold-{fold}" / f"seed-{seed}" / "studies.csv") for fold, seed in RUNS
    }
    return pd.concat(frames, names=["fold", "seed", None]).reset_index(["fold", "seed"])


def test_every_study_is_tested_in_one_fold_with_every_seed_and_never_trained_on_there(results, scores):
    assert sorted(scores["study"]) == sorted(2 * [f"study_{number:04d}" for number in range(1, 5)])
    assert (scores.groupby("study")["fold"].nunique() == 1).all()
    for (fold, seed), tested in scores.groupby(["fold", "seed"])["study"]:
        record = json.loads((results / "models/small" / f"fold-{fold}" / f"seed-{seed}" / "run.json").read_text())
        assert not set(tested) & {study for subset in record["inputs_sha256"].values() for study in subset}


def test_every_training_has_weights_of_its_own(results):
    weights = [path.read_bytes() for path in results.glob("models/small/fold-*/seed-*/weights.safetensors")]
    assert len(set(weights)) == len(RUNS)


def test_seeds_are_averaged_for_each_study_and_their_spread_is_told(tables, scores):
    dice = scores.groupby("study")["dice"].mean()
    assert tables["per_study"].set_index("study")["small"].to_dict() == pytest.approx(dice.to_dict())
    (row,) = tables["comparison"].to_dict("records")
    assert [row["studies"], row["mean_dice"]] == [4, pytest.approx(dice.mean())]
    assert row["sd_over_seeds"] == pytest.approx(scores.groupby("seed")["dice"].mean().std())


def test_slices_are_counted_for_every_fold_and_cost_is_a_mean_of_all_trainings(tables, results):
    subsets = tables["slices_by_subset"]
    assert subsets.groupby("subset")["studies"].agg(list).to_dict() == {
        "train": [1, 1], "validation": [1, 1], "test": [2, 2], "total": [4, 4]
    }  # fmt: skip
    seconds = [json.loads(path.read_text())["seconds"] for path in results.glob("models/small/*/*/run.json")]
    assert tables["cost"]["training_seconds"].tolist() == [pytest.approx(sum(seconds) / len(RUNS))]
