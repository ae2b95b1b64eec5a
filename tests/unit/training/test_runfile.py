"""A record is read as it was written, and one whose recipe was edited is refused."""

import json
from dataclasses import asdict

import pytest

from lesionbench.errors import UserError
from lesionbench.training.runfile import HASH, read_contents, recipe_hash, write_record
from tiny import MODEL, PREPROCESSING, RECIPE

MADE_WITH = {"model": asdict(MODEL), "training": asdict(RECIPE), "preprocessing": asdict(PREPROCESSING), "seed": 3}


@pytest.fixture
def path(tmp_path):
    write_record(MADE_WITH | {"seconds": 1.5}, tmp_path / "run.json")
    return tmp_path / "run.json"


def edited(path, **changes):
    record = json.loads(path.read_text())
    for key, value in changes.items():
        record[key] = value if not isinstance(value, dict) else record[key] | value
    path.write_text(json.dumps(record))
    return path


def test_a_record_is_read_as_it_was_written(path):
    contents = read_contents(path, ["seconds"])
    assert contents == json.loads(json.dumps(MADE_WITH)) | {"seconds": 1.5, HASH: recipe_hash(MADE_WITH)}


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessing": {"hu_scale": 500}},
        {"preprocessing": {"hu_window": [-1350, 150]}},
        {"training": {"learning_rate": 0.5}},
        {"model": {"options": {"width": 8}}},
        {"seed": 4},
    ],
)
def test_a_recipe_that_was_edited_is_told(path, changes):
    with pytest.raises(UserError, match=r"run\.json: it was edited or damaged: its recipe is not the one"):
        read_contents(edited(path, **changes))


def test_what_decides_no_mask_may_change(path):
    assert read_contents(edited(path, seconds=9))["seconds"] == 9


def test_older_records_have_no_hash(path):
    record = json.loads(path.read_text())
    del record[HASH]
    path.write_text(json.dumps(record | {"seed": 5}))
    assert read_contents(path)["seed"] == 5


def test_what_is_needed_and_missing_is_named(path):
    with pytest.raises(UserError, match="it does not say its best_epoch"):
        read_contents(path, ["best_epoch"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[]", "no object"),
        ('{"seed": -1}', "seed: -1 is less than the minimum"),
        (f'{{"seed": {"9" * 5000}}}', "digits"),
        ('{"code": "\\ud800"}', "surrogates"),
        ('{"seconds": NaN}', "seconds: nan is not of type 'number'"),
        ('{"training": {"batch_size": null}}', "batch_size"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, text, said):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=rf"run\.json: cannot be read as the record of a run \(.*{said}"):
        read_contents(tmp_path / "run.json")
