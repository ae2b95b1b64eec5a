"""The whole workflow, killed at random moments until it is done, has the files of one that was left alone.

LESIONBENCH_FAULTS kills, 3 by default; `make test-faults` has more. The seed is fixed, so the moments come again.
"""

import os
import random
import signal
import subprocess
import sys
from collections import Counter

import psutil
import pytest
import yaml

from checkout import TINY, copy_checkout, merged
from faulted import config, contents

KILLS = int(os.environ.get("LESIONBENCH_FAULTS", "3"))
LATEST = 25  # seconds after which a kill comes


def jobs_of(snakemake):
    """The processes that run scripts of rules, the innermost of each."""
    children = psutil.Process(snakemake.pid).children(recursive=True)
    return [child for child in children if not child.children() and ".snakemake/scripts" in " ".join(child.cmdline())]


def strike(snakemake, draw):
    """Send a signal to the group, to Snakemake alone or to one of its jobs; return what was done."""
    number = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    whom = draw.choice(["group", "group", "Snakemake", "job"])
    try:
        jobs = jobs_of(snakemake)
        if whom == "group":
            os.killpg(snakemake.pid, number)
        elif whom == "job" and jobs:
            draw.choice(jobs).send_signal(number)
        else:
            whom = "Snakemake"
            snakemake.send_signal(number)
    except (ProcessLookupError, psutil.Error):
        return "nobody"
    return f"{number.name} to {whom}"


def run_and_strike(checkout, name, draw):
    """Run the workflow and strike at a random moment; return what was done, "" where it was done before."""
    overlay = checkout.folder / f"{name}.yaml"
    overlay.write_text(yaml.safe_dump(merged(TINY, config(name))))
    # The bytes of weights are those of one thread; two cores are for two jobs at a time.
    given = ["--cores", "2", "--set-threads", "train=1"]
    command = [sys.executable, "-m", "snakemake", "--configfile", overlay.name, *given]
    subprocess.run([*command, "--unlock"], cwd=checkout.folder, capture_output=True, check=True)
    with subprocess.Popen(
        command, cwd=checkout.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as snakemake:
        try:
            snakemake.communicate(timeout=draw.uniform(3, LATEST))
            return ""
        except subprocess.TimeoutExpired:
            done = strike(snakemake, draw)
        if done.endswith("Snakemake"):
            snakemake.wait(60)  # its jobs go on, and hold its output open
        else:
            snakemake.communicate(timeout=120)
    return done


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("faults"))
    checkout.snakemake(config=config("undisturbed"))
    return checkout


def test_kills_at_random_moments_change_no_byte(checkout):
    draw = random.Random(0)
    undisturbed, kills, rounds = contents(checkout, "undisturbed"), Counter(), 0
    while kills.total() < KILLS:
        name = f"round-{rounds}"
        while kills.total() < KILLS and (done := run_and_strike(checkout, name, draw)):
            kills[done] += 1
        checkout.snakemake("--unlock", config=config(name))
        output = checkout.snakemake(config=config(name))
        assert "Traceback" not in output
        found = contents(checkout, name)
        assert sorted(found) == sorted(undisturbed), "files are missing, or were left"
        assert [file for file in found if found[file] != undisturbed[file]] == []
        rounds += 1
    print(f"{KILLS} kills in {rounds} rounds: {dict(kills)}")
