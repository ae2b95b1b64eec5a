import logging
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lesionbench.logs import collected_warnings

SCRIPT = """
from lesionbench.logs import job_log
with job_log("logs/job.log"):
    {body}
"""


def run(tmp_path, body):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    return done, (tmp_path / "logs" / "job.log").read_text()


@pytest.mark.parametrize(
    ("body", "shown", "traceback"),
    [
        (
            "from lesionbench.errors import UserError; raise UserError('study_0001: correct it')",
            "study_0001: correct it",
            False,
        ),
        ("import no_such_module", "No module named 'no_such_module'", True),
    ],
)
def test_a_failure_reaches_the_log_and_the_terminal(tmp_path, body, shown, traceback):
    done, log = run(tmp_path, body)
    assert done.returncode == 1
    assert shown in log and shown in done.stderr
    assert ("Traceback" in log) == traceback


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_job_without_a_traceback_and_without_a_partial_file(tmp_path, name):
    body = (
        f"import os, signal; from lesionbench.files import atomic\n    with atomic('mask.nii') as part:\n"
        f"        part.write_text('half'); os.kill(os.getpid(), signal.{name})"
    )
    done, log = run(tmp_path, body)
    assert done.returncode == 128 + getattr(signal, name)
    assert f"Stopped by {name}" in log and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_warnings_and_messages_reach_the_log(tmp_path):
    done, log = run(tmp_path, "import logging, warnings; warnings.warn('odd'); logging.getLogger('a').info('hello')")
    assert done.returncode == 0
    assert "odd" in log and "hello" in log


def test_warnings_are_handed_to_the_thread_that_caused_them(caplog):
    logger = logging.getLogger("lesionbench.data")

    def warn(number):
        logger.info("not a warning")
        for _ in range(number):
            logger.warning("study %s", number)
        return take()

    with collected_warnings() as take, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(warn, range(9))) == [[f"study {number}"] * number for number in range(9)]
        assert take() == []
    assert not caplog.records
    logger.warning("told again")
    assert [record.message for record in caplog.records] == ["told again"]
