"""A program of another's runs in a group of its own, and leaves nothing running."""

import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from lesionbench.errors import UserError
from lesionbench.training.folder_lock import held_lock
from lesionbench.training.program import run_program

# Starts a process that outlives it, whose number it prints.
PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], close_fds=False, stdout=2)\n"
    "print(child.pid, flush=True)\n"
)


def run(tmp_path, code, key="models.mine"):
    with held_lock(tmp_path / "lock") as lock:
        run_program([sys.executable, "-c", code], lock, dict(os.environ), key)


def gone(number, seconds=10):
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_each_line_of_the_output_is_in_the_log(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(tmp_path, "import sys; print('one\\rtwo'); print('three', file=sys.stderr)")
    assert sorted(caplog.messages) == ["one", "three", "two"]


def test_a_failure_shows_the_status_and_the_last_lines(tmp_path):
    with pytest.raises(UserError) as caught:
        run(tmp_path, "import sys\nfor n in range(40): print('line', n)\nsys.exit(3)")
    said = str(caught.value)
    assert said.startswith("models.mine: the program ended with exit status 3. The last lines that it printed:\n")
    assert said.endswith("  line 39") and "line 25\n" in said and "line 24\n" not in said


def test_a_program_that_was_killed_is_said_to_be(tmp_path):
    with pytest.raises(UserError, match=r"the program was ended by SIGKILL.*\n  \(none\)"):
        run(tmp_path, "import os; os.kill(os.getpid(), 9)")


def test_a_program_that_cannot_be_started_is_named(tmp_path):
    with held_lock(tmp_path / "lock") as lock, pytest.raises(UserError, match=r"mine: \S+/tool cannot be started \(No"):
        run_program([str(tmp_path / "tool")], lock, {}, "mine")


def test_a_program_that_prints_nothing_for_long_is_said_to_run(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("lesionbench.training.program.EVERY", 0.1)
    run(tmp_path, "import time; print('epoch 1', flush=True); time.sleep(1)")
    assert re.fullmatch(r"The program has run for \d+ s. The last line that it printed: epoch 1", caplog.messages[-1])


def test_what_a_program_started_ends_with_it(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(tmp_path, PARENT)
    assert gone(int(caplog.messages[0]))


def job(tmp_path, code):
    """Start a process that runs a program, and return it with the number of a process that the program started."""
    script = f"""
        import logging, os, sys
        from pathlib import Path
        from lesionbench.training.folder_lock import held_lock
        from lesionbench.training.program import run_program
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
        with held_lock(Path({str(tmp_path / "lock")!r})) as lock:
            run_program([sys.executable, "-c", {code!r}], lock, dict(os.environ), "models.mine")
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def test_a_stopped_job_ends_its_program(tmp_path):
    process, child = job(tmp_path, f"{PARENT}child.wait()")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM and gone(child)


def test_the_next_job_ends_what_a_killed_one_left_running(tmp_path, caplog):
    process, child = job(tmp_path, f"{PARENT}child.wait()")
    process.kill()
    process.wait()
    assert psutil.pid_exists(child)
    run(tmp_path, "print('again')")
    assert gone(child) and "Ending what a job that was killed has left running" in caplog.text
