"""The command that tells people that Snakemake has ended."""

import json
import sys
from contextlib import suppress

import psutil
import pytest

from lesionbench.errors import UserError
from lesionbench.experiment import notification
from lesionbench.experiment.notification import LONGEST, check_command, describe_made, notify

TELL = """
import json, os, sys
told = {name: os.environ[f"LESIONBENCH_{name}"] for name in ("STATUS", "RESULTS", "MESSAGE")}
json.dump({**told, "input": sys.stdin.read(), "arguments": sys.argv[1:]}, open("told.json", "w"))
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A command that writes what it got to told.json, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tell.py").write_text(TELL)
    return f"{sys.executable} tell.py 'two words' $HOME"


@pytest.mark.parametrize("split", [False, True])
def test_a_command_gets_the_message_as_input_and_in_its_environment_and_no_shell(command, tmp_path, capsys, split):
    words = [sys.executable, "tell.py", "two words", "$HOME"]
    notify(words if split else command, "done", tmp_path / "results", "3 jobs done.\0")
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["STATUS"] == "done" and told["RESULTS"] == str(tmp_path / "results")
    assert told["MESSAGE"] == f"Lesionbench: done in {tmp_path}/results.\n\n3 jobs done."
    assert told["input"] == told["MESSAGE"] + "\n" and told["arguments"] == ["two words", "$HOME"]
    assert capsys.readouterr() == ("", "")


def test_a_long_message_is_cut(command, tmp_path):
    notify(command, "failed", tmp_path, "é" * 10_000_000)
    said = json.loads((tmp_path / "told.json").read_text())["MESSAGE"]
    assert len(said) == LONGEST + 2 and said.endswith("é …")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sh -c 'echo no route >&2; exit 3'", "it ended with exit status 3: no route."),
        ("./none", "[Errno 2] No such file or directory: './none'."),
        ("true 'open", "No closing quotation."),
    ],
)
def test_what_goes_wrong_is_one_warning(command, said, tmp_path, capsys):
    notify(command, "done", tmp_path, "x" * 3000)
    assert capsys.readouterr() == ("", f"notify: nobody was told: {said}\n")


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notification, "LIMIT_SECONDS", 2)
    started = tmp_path / "started"
    notify(["sh", "-c", f"sh -c 'echo $$ > {started}; exec sleep 600'; true"], "done", tmp_path, "")
    assert "it had not ended after 2 s, and was killed" in capsys.readouterr().err
    with suppress(psutil.NoSuchProcess):
        inner = psutil.Process(int(started.read_text()))
        assert inner.status() == psutil.STATUS_ZOMBIE or inner.wait(30) is None


def test_a_command_that_cannot_run_is_refused_before_anything_runs():
    check_command(None)
    check_command("sh -c 'true'")
    with pytest.raises(UserError, match=r"(?s)notify: there is no program no-such-mail .*\n  notify: null"):
        check_command("no-such-mail -s lesionbench me@example.org")
    with pytest.raises(UserError, match="notify: mail 'open: No closing quotation"):
        check_command("mail 'open")
    with pytest.raises(UserError, match="notify: there is no program"):
        check_command(" ")


def test_what_was_made_is_told_by_the_rules():
    assert describe_made(["preprocess", "train", "preprocess"]) == "3 jobs done: 2 preprocess, 1 train."
    assert describe_made(["split"]) == "1 job done: 1 split."
    assert describe_made([]) == "All is made."
