"""What an earlier Snakemake left in SLURM's queue, with a queue and commands of the test's own."""

import pytest

from lesionbench.errors import UserError
from lesionbench.experiment import slurm

SQUEUE = """#!/bin/sh
cat "$(dirname "$0")/queue" 2>/dev/null || { echo "slurm_load_jobs error: Unable to contact" >&2; exit 1; }
"""
SCANCEL = """#!/bin/sh
folder="$(dirname "$0")"
echo "$@" >> "$folder/cancelled"
for job in "$@"; do grep -v "^$job|" "$folder/queue" > "$folder/rest"; mv "$folder/rest" "$folder/queue"; done
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A folder with `squeue` and `scancel`, first in the path, that share the file `queue`."""
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "queue").write_text("7|run-a\n8|run-a\n9_1|run-b\n10|run-c\n")
    return tmp_path


def test_all_jobs_of_the_runs_that_left_one_are_cancelled(fake):
    assert slurm.cancel_left_over(["7", "9_1", "4"], poll_seconds=0) == ["7", "8", "9_1"]
    assert (fake / "cancelled").read_text() == "7 8 9_1\n"
    assert (fake / "queue").read_text() == "10|run-c\n"


@pytest.mark.parametrize("jobs", [[], ["4"]])
def test_nothing_is_cancelled_where_nothing_is_left(fake, jobs):
    assert slurm.cancel_left_over(jobs) == []
    assert not (fake / "cancelled").exists()


def test_without_slurm_nothing_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.cancel_left_over(["7"]) == []


def test_a_scheduler_that_does_not_answer_is_reported(fake):
    (fake / "queue").unlink()
    with pytest.raises(UserError, match=r"did not answer `squeue --me` \(slurm_load_jobs error: Unable to contact\)"):
        slurm.cancel_left_over(["7"])


def test_jobs_that_do_not_end_are_reported(fake, monkeypatch):
    (fake / "scancel").write_text("#!/bin/sh\n")
    monkeypatch.setattr(slurm, "CANCEL_SECONDS", 0)
    with pytest.raises(UserError, match="jobs 10 were left by an earlier Snakemake and did not end within 0 s"):
        slurm.cancel_left_over(["10"], poll_seconds=0)


def test_a_training_says_which_job_it_is_while_it_runs(tmp_path, monkeypatch):
    assert slurm.claimed_by(tmp_path) is None
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with slurm.claim(tmp_path / "run"):
        assert slurm.claimed_by(tmp_path / "run") == "12"
    assert list((tmp_path / "run").iterdir()) == []


def test_without_slurm_a_training_leaves_no_claim(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with slurm.claim(tmp_path):
        assert list(tmp_path.iterdir()) == []
