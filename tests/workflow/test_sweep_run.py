"""A sweep from its rows to its tables, and what runs again when its list changes."""

import shutil

import pytest

from checkout import Checkout
from lesionbench.data.frames import read_frame

TABLE = "results/tiny/tables/sweeps.csv"
KEY = "training.learning_rate"


def swept(*values):
    return {"models": {"small": {"label": "Small", "sweep": {KEY: list(values)}}}, "compare": ["small"]}


@pytest.fixture(scope="module")
def sweep(finished, tmp_path_factory):
    """The finished experiment, and in it a sweep of two values as far as its tables."""
    folder = tmp_path_factory.mktemp("sweep") / "checkout"
    shutil.copytree(finished.folder, folder)
    checkout = Checkout(folder)
    checkout.snakemake(TABLE, config=swept(0.01, 0.001))
    return checkout


def test_each_value_is_a_row_of_the_tables(sweep):
    rows = read_frame(sweep.folder / TABLE.replace("sweeps", "sweep_rows"))
    assert rows["model"].tolist() == ["small.learning_rate-0.01", "small.learning_rate-0.001"]
    assert rows["label"].tolist() == ["Small, learning rate 0.01", "Small, learning rate 0.001"]
    assert rows["validation_dice"].notna().all() and rows["best"].tolist().count("True") == 1
    table = read_frame(sweep.folder / TABLE)
    assert table["sweep"].tolist() == ["small"] * 3 and table["rows"].tolist() == [2] * 3


def test_a_further_value_trains_one_row_more(sweep):
    jobs = sweep.would_run(**swept(0.0001, 0.01, 0.001))
    assert jobs["train"] == jobs["predict"] == jobs["evaluate"] == 1 and "compare" in jobs


def test_another_order_of_the_values_trains_nothing(sweep):
    jobs = sweep.would_run(**swept(0.001, 0.01))
    assert "compare" in jobs and not {"train", "predict", "evaluate"} & set(jobs)


def test_the_same_key_for_all_models_trains_no_row_of_the_sweep(sweep):
    assert "train" not in sweep.would_run(**swept(0.01, 0.001), training={KEY.partition(".")[2]: 0.5})
