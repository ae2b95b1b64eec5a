"""The harness of the benchmarks, on contenders that only pretend to take time; the simulations, in short."""

import json
import math
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
from benchmarks import growth, measure, severity, statistics, where
from benchmarks.measure import Row, alternate, ratios, timed
from benchmarks.run import as_table, write_json


def scripted(name, seconds, calls):
    """A contender that takes the given seconds, a number a call."""
    remaining = iter(seconds)

    def contender():
        calls.append(name)
        return next(remaining)

    return contender


def test_contenders_take_turns_and_give_a_ratio_a_repetition():
    calls = []
    contenders = {"ours": scripted("ours", [2, 4, 5], calls), "theirs": scripted("theirs", [4, 4, 20], calls)}
    seconds = alternate(contenders, 3)
    assert calls == ["ours", "theirs"] * 3
    assert seconds == {"ours": [2, 4, 5], "theirs": [4, 4, 20]}
    assert ratios(seconds, "theirs", "ours") == [2, 1, 4]


def test_timed_returns_the_seconds_of_the_call(monkeypatch):
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    received = []
    assert timed(received.append, "argument")() == 2.5
    assert received == ["argument"]


@pytest.mark.parametrize(
    ("bar", "met", "words"),
    [({}, None, ""), ({"at_least": 2}, True, "≥ 2 ×"), ({"at_least": 2.1}, False, "≥ 2.1 ×"),
     ({"at_most": 2}, True, "≤ 2 ×"), ({"at_most": 1.9}, False, "≤ 1.9 ×")],
)  # fmt: skip
def test_the_median_is_held_against_the_bar(bar, met, words):
    row = Row("name", "what", "×", [9, 1, 2], **bar)
    assert (row.median, row.met, row.bar) == (2, met, words)


def test_the_table_shows_median_range_and_what_was_missed():
    table = as_table([Row("fast", "what", "s", [3, 1, 2], at_most=2), Row("slow", "what", "s", [8.0], at_most=7)])
    assert [line.split("what")[0].split() for line in table.splitlines()[2:]] == [
        ["fast", "2", "s", "1", "…", "3", "≤", "2", "s", "reached"],
        ["slow", "8", "s", "8", "…", "8", "≤", "7", "s", "MISSED"],
    ]


def test_the_json_holds_rows_machine_and_versions(tmp_path):
    row = Row("name", "what", "×", [2.0, 1.0, 4.0], at_least=1.5, note="a note", seconds={"ours": [1.0, 2.0, 1.0]})
    path = write_json([row], torch.device("cpu"), load=0.5, folder=tmp_path / "results")
    content = json.loads(path.read_text())
    assert content["load_at_start"] == 0.5
    assert content["environment"]["packages"]["torch"]
    assert content["machine"]["cores"] >= 1 and content["machine"]["gpu"] is None
    assert content["rows"] == [
        {
            "name": "name", "what": "what", "unit": "×", "values": [2.0, 1.0, 4.0], "at_least": 1.5, "at_most": None,
            "note": "a note", "seconds": {"ours": [1.0, 2.0, 1.0]}, "median": 2.0, "min": 1.0, "max": 4.0, "met": True,
        }
    ]  # fmt: skip


KEYS = {"patients", "models", "rows", "trainings", "features", "folds", "their SD", "SD of trainings"}


def stated(name):
    """The cells of a table of the page, its header first."""
    lines = statistics.PAGE.read_text(encoding="utf-8").partition(f"<!-- table: {name} -->\n\n")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize("name", statistics.TABLES)
def test_the_page_of_statistics_states_what_the_simulations_give(name):
    repetitions = 100
    header, *rows = stated(name)
    found = statistics.TABLES[name](repetitions)
    assert list(found.header) == header and len(found.rows) == len(rows)
    for ours, theirs in zip(found.rows, rows, strict=True):
        values = dict(zip(header, ours, strict=True))
        count = statistics.fewer(repetitions, values.get("models", 2))
        for column, cell, value in zip(header, theirs, map(str, ours), strict=True):
            if column in KEYS or cell == "–":
                assert value == cell
            elif column.startswith(("width", "error")):
                assert float(value) == pytest.approx(float(cell), abs=0.02)
            else:
                share = min(max(float(cell), 2), 98)
                assert float(value) == pytest.approx(float(cell), abs=4.5 * math.sqrt(share * (100 - share) / count))


def test_a_table_takes_the_place_of_the_one_before():
    page = "a\n<!-- table: x -->\n\n| old |\n| 1 |\n\nb\n"
    assert statistics.put(page, "x", "| new |") == "a\n<!-- table: x -->\n\n| new |\n\nb\n"
    with pytest.raises(ValueError, match="no place for the table y"):
        statistics.put(page, "y", "")


def test_intervals_of_severity_cover_what_is_true():
    *covered, wrong = severity.simulate(100, 8, severity.true_values(50_000))
    assert len(covered) == 4 and min(covered) >= 50 and wrong <= 50


def test_growth_is_told_by_the_exponent_between_the_last_two_sizes():
    points = pd.DataFrame(
        [("models", "one", 1, 9.0, 1.0), ("models", "one", 10, 2.0, 1.0), ("models", "one", 40, 32.0, 4.0)],
        columns=["factor", "step", "size", "seconds", "memory_gb"],
    )
    lines = growth.as_table(points).splitlines()
    assert [cell.strip() for cell in lines[-1].split("|")[2:7]] == ["40 models", "32.00 s", "4.00 GB", "2.00", "1.00"]


def test_a_process_says_where_its_seconds_went(tmp_path):
    script = tmp_path / ".snakemake" / "scripts" / "tmpab12.train.py"
    script.parent.mkdir(parents=True)
    script.write_text("import time, slow_to_import; time.sleep(0.2)")
    (tmp_path / "slow_to_import.py").write_text("import time, fractions; time.sleep(0.3)")
    seconds = tmp_path / "seconds.jsonl"
    path = os.pathsep.join([str(where.TIMED), str(tmp_path)])
    environment = os.environ | {"PYTHONPATH": path, "LESIONBENCH_SECONDS": str(seconds)}
    for command in ([sys.executable, script], [sys.executable, "-c", "pass"]):
        subprocess.run(command, env=environment, check=True)
    (job,) = where.read_seconds(seconds).itertuples()
    assert job.rule == "train"
    assert job.start >= 0.3  # what sleeps in the import counts as import, once
    assert job.own >= 0.2
