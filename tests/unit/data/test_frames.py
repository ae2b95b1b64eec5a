"""Tables keep their names and numbers, and nothing else reads or writes them."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesionbench.data.frames import read_frame, write_frame
from lesionbench.errors import UserError

REPOSITORY = Path(__file__).parents[3]
NAMES = [
    "1", "001", "1e3", "0x1", "NA", "nan", "null", "None", "N/A", "#N/A", "True", "-inf", "2020-01-01", " x ", "a,b",
    '"q"', "é", "two\r\nlines",
]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


def test_names_that_read_as_something_else_stay_text(path):
    frame = pd.DataFrame(dict.fromkeys(("study", "model", "label", "category", "subset"), NAMES))
    write_frame(frame.assign(dice=0.5), path)
    read = read_frame(path)
    assert {name: read[name].tolist() for name in frame} == dict.fromkeys(frame, NAMES)
    assert read["dice"].dtype == float


def test_numbers_come_back_to_the_last_digit_and_keep_their_type(path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"dice": rng.random(50) * 10.0 ** rng.integers(-300, 300, 50), "slice": range(50)})
    frame["undefined"] = math.nan
    frame.loc[3, "dice"] = math.nan
    write_frame(frame, path)
    pd.testing.assert_frame_equal(read_frame(path), frame, check_exact=True)


def test_an_empty_cell_is_missing_among_numbers_and_empty_among_words(path):
    write_frame(pd.DataFrame({"study": ["a", "b"], "ct": ["x", None], "lesion_ml": pd.array([1.5, None])}), path)
    read = read_frame(path)
    assert read["ct"].tolist() == ["x", ""] and read["lesion_ml"].isna().tolist() == [False, True]


@pytest.mark.parametrize("cell", ["NA", "nan", "True", "0.5x"])
def test_a_word_among_numbers_is_refused(path, cell):
    path.write_text(f"study,dice\na,0.5\nb,\nc,{cell}\n")
    with pytest.raises(UserError, match=rf"table\.csv: .*column dice holds '{cell}', which is no number.*Delete it"):
        read_frame(path)


@pytest.mark.parametrize("content", [None, b"", b"study\xff\n", b'a\n1,2\n"3'])
def test_a_damaged_table_is_named(path, content):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"table\.csv: cannot be read as a table"):
        read_frame(path)


def test_lines_longer_than_the_header_do_not_shift_the_columns(path):
    path.write_text("study,dice\na,0.5,1\nb,0.5,1\n")
    with pytest.raises(UserError, match="its lines have more cells than its header"):
        read_frame(path)


def test_nothing_else_lets_pandas_guess():
    calls = re.compile(r"\b(read_(csv|excel|table|fwf)|to_(csv|excel))\b")
    files = [file for folder in ("workflow", "docs", "benchmarks") for file in (REPOSITORY / folder).rglob("*.*")]
    code = [file for file in files if file.suffix in (".py", ".smk")]
    assert len(code) > 50 and [file.name for file in code if calls.search(file.read_text())] == ["frames.py"]
