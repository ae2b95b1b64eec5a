"""The command of `notify`, as Snakemake runs it when it ends."""

import json
import sys

import pytest

from checkout import copy_checkout

TELL = """
import json, os, sys
told = {name: os.environ[f"LESIONBENCH_{name}"] for name in ("STATUS", "RESULTS", "MESSAGE")}
with open("told.jsonl", "a") as file:
    file.write(json.dumps({**told, "input": sys.stdin.read()}) + "\\n")
"""
NOTIFY = {"notify": [sys.executable, "tell.py"]}
SPLIT = "results/tiny/splits/fold-0.csv"


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("notify"))
    (checkout.folder / "tell.py").write_text(TELL)
    return checkout


@pytest.fixture
def told(checkout):
    """A function that returns what the command was told since the test began."""
    path = checkout.folder / "told.jsonl"
    path.write_text("")
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_people_are_told_once_when_jobs_are_done_and_never_of_runs_that_make_nothing(checkout, told):
    checkout.snakemake(SPLIT, "--dry-run", config=NOTIFY)
    checkout.snakemake("--lint", config=NOTIFY, check=False)
    assert told() == []
    checkout.snakemake(SPLIT, config=NOTIFY)
    (once,) = told()
    results = checkout.folder / "results" / "tiny"
    assert (once["STATUS"], once["RESULTS"]) == ("done", str(results))
    assert once["MESSAGE"] == f"Lesionbench: done in {results}.\n\n1 job done: 1 split."
    assert once["input"] == once["MESSAGE"] + "\n"
    checkout.snakemake(SPLIT, config=NOTIFY)
    checkout.snakemake(SPLIT, "--touch", "--forceall", config=NOTIFY)
    assert len(told()) == 1


def test_people_are_told_of_failed_jobs_and_why(checkout, told, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    checkout.snakemake("resources/weights/resnet18.safetensors", config=NOTIFY, check=False)
    (once,) = told()
    assert once["STATUS"] == "failed" and "Cannot fetch the ImageNet weights of encoder resnet18" in once["MESSAGE"]


def test_a_command_that_fails_is_a_warning_and_snakemake_ends_as_without(checkout):
    output = checkout.snakemake(SPLIT, "--force", config={"notify": "sh -c 'echo no route; exit 3'"})
    assert output.count("notify: nobody was told: it ended with exit status 3: no route.") == 1


def test_a_command_that_is_not_there_is_told_before_anything_runs(checkout):
    output = checkout.snakemake(SPLIT, "--force", config={"notify": "no-such-mail"}, check=False)
    assert "notify: there is no program no-such-mail to call" in output and "Traceback" not in output
