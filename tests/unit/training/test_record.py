"""What a training leaves is read back as it was, and what is missing or damaged is named."""

import csv
import json
from dataclasses import asdict

import pytest
import torch

from lesionbench.errors import UserError
from lesionbench.training.record import read_record, read_run, write_run
from lesionbench.training.runfile import HISTORY, RECORD, WEIGHTS
from tiny import MODEL, PREPROCESSING, RECIPE

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7)}
ROWS = [{"epoch": 1, "validation_loss": 0.5, "seconds": 1.5}, {"epoch": 2, "validation_loss": 0.25, "seconds": 2.0}]
MADE_WITH = {"model": asdict(MODEL), "training": asdict(RECIPE), "preprocessing": asdict(PREPROCESSING), "seed": 3}


def written(folder, tensors=TENSORS, **more):
    write_run(folder, tensors, ROWS, MADE_WITH | more)
    return folder


def test_a_run_is_read_back_as_it_was_written(tmp_path):
    weights, record = read_run(written(tmp_path))
    assert weights.keys() == TENSORS.keys() and all(torch.equal(weights[name], TENSORS[name]) for name in TENSORS)
    assert (record.model, record.recipe, record.preprocessing) == (MODEL, RECIPE, PREPROCESSING)
    assert record.contents["seed"] == 3 and record.contents["seconds"] == 3.5
    assert record.contents["peak_host_memory_bytes"] > 2**20 and record.contents["environment"]["python"]


def test_the_history_has_a_row_an_epoch(tmp_path):
    with (written(tmp_path) / HISTORY).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == ROWS


def test_what_differs_between_equal_trainings_is_not_in_the_weights(tmp_path):
    one, other = written(tmp_path / "one", seed=1), written(tmp_path / "other", seed=2)
    assert (one / WEIGHTS).read_bytes() == (other / WEIGHTS).read_bytes()
    assert (one / RECORD).read_text() != (other / RECORD).read_text()


def test_weights_need_not_be_contiguous(tmp_path):
    turned = {"a": TENSORS["a"].t()}
    assert torch.equal(read_run(written(tmp_path, turned))[0]["a"], turned["a"])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", json.dumps(MADE_WITH | {"training": {"bach_size": 1}}), json.dumps(MADE_WITH | {"model": None})],
    ids=["empty", "a list", "nothing in it", "an unknown key", "no model"],
)
def test_a_record_that_is_damaged_is_named(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match=r"run\.json: cannot be read .*Give the folder of one finished training"):
        read_record(tmp_path / RECORD)


def test_an_option_that_is_null_is_none(tmp_path):
    model = MADE_WITH["model"] | {"options": None, "encoder_weights": None}
    (tmp_path / RECORD).write_text(json.dumps(MADE_WITH | {"model": model}))
    assert read_record(tmp_path / RECORD).model.options == {}


def test_weights_that_are_damaged_or_missing_are_named(tmp_path):
    weights = written(tmp_path) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"weights\.safetensors: cannot be read"):
        read_run(tmp_path)
    weights.unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors: cannot be read"):
        read_run(tmp_path)


def test_a_folder_of_runs_is_no_run(tmp_path):
    written(tmp_path / "fold-0" / "seed-0")
    with pytest.raises(UserError, match=r"this folder holds 1 run and is none itself: .*fold-0/seed-0"):
        read_run(tmp_path)


def test_weights_of_another_training_are_refused_and_older_records_do_not_say(tmp_path):
    one, other = written(tmp_path / "one"), written(tmp_path / "other", {"a": TENSORS["a"] + 1})
    (one / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
    with pytest.raises(UserError, match=r"one/weights\.safetensors: these are not the weights that run\.json"):
        read_run(one)
    record = json.loads((one / RECORD).read_text())
    del record["weights_sha256"], record["recipe_sha256"]
    (one / RECORD).write_text(json.dumps(record))
    assert torch.equal(read_run(one)[0]["a"], TENSORS["a"] + 1)
