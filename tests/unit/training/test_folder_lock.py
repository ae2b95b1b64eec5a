"""One process at a time in a folder."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from lesionbench.errors import UserError
from lesionbench.training.folder_lock import held_lock

# Holds the lock until it is asked to end, and says what it does.
HOLDER = """
    import signal, sys, time
    from pathlib import Path
    from lesionbench.training.folder_lock import held_lock
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with held_lock(Path({path!r})):
        print("held", flush=True)
        time.sleep(60)
"""
# Starts a holder, says its number, and waits for it, as Snakemake does.
STARTER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {holder!r}])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "run" / ".lock"


@pytest.fixture
def started(lock):
    """A process that waits for another, which holds the lock, and that one's number."""
    code = STARTER.format(holder=textwrap.dedent(HOLDER).format(path=str(lock)))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        number, said = (starter.stdout.readline().strip() for _ in range(2))
        assert said == "held"
        yield starter, psutil.Process(int(number))
        for process in (starter, psutil.Process(int(number)) if psutil.pid_exists(int(number)) else starter):
            process.kill()


def test_a_lock_is_free_again_after_its_block_and_leaves_no_file(lock):
    for _ in range(2):
        with held_lock(lock):
            assert lock.exists()
        assert not lock.exists()


def test_the_second_is_told_who_is_at_work(lock, started):
    _, holder = started
    with pytest.raises(UserError, match=rf"run: process {holder.pid} on \S+ is at work here"), held_lock(lock):
        pass
    assert holder.is_running()


def test_an_orphan_is_ended_and_its_lock_taken(lock, started, caplog):
    starter, holder = started
    starter.kill()
    starter.wait()
    assert holder.is_running()
    with held_lock(lock):
        assert f"Ending process {holder.pid}, which a Snakemake that was killed has left" in caplog.text
    assert holder.status() == psutil.STATUS_ZOMBIE if holder.is_running() else True


def test_what_a_killed_holder_left_is_no_hindrance(lock, started):
    _, holder = started
    holder.send_signal(signal.SIGKILL)
    holder.wait(30)
    assert lock.exists()
    with held_lock(lock):
        pass
    assert not lock.exists()


def test_a_process_of_another_machine_is_not_touched(lock, started, monkeypatch):
    starter, holder = started
    starter.kill()
    starter.wait()
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    with pytest.raises(UserError, match="is at work here"), held_lock(lock):
        pass
    assert holder.is_running()


def test_another_process_with_the_number_of_the_starter_is_not_the_starter(lock, started):
    """Numbers come again; the start of a process tells it apart."""
    starter, holder = started
    starter.send_signal(signal.SIGSTOP)
    note = json.loads(lock.read_text())
    assert note["starter"][0] == starter.pid
    lock.write_text(json.dumps(note | {"starter": [starter.pid, note["starter"][1] - 1000]}))
    with held_lock(lock):
        assert not holder.is_running() or holder.status() == psutil.STATUS_ZOMBIE


def test_where_files_cannot_be_locked_a_warning_says_so(lock, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with held_lock(lock):
        assert "cannot be locked" in caplog.text and "no second Snakemake" in caplog.text
