"""The workflow as a module of another one, in another folder, while another `lesionbench` comes first on the path."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from checkout import TINY, copy_checkout

# What snakedeploy 0.17 writes to workflow/Snakefile, given the declaration of our own.
DEPLOYED = """
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


module lesionbench:
    snakefile:
        {snakefile}
    config:
        config


use rule * from lesionbench
"""
RENAMED = """
module lesionbench:
    snakefile:
        {snakefile}
    config:
        config["segmentation"]


rule everything:
    default_target: True
    input:
        "results/tiny/summary.html",


use rule * from lesionbench as lesionbench_*
"""


@dataclass(frozen=True)
class Outer:
    """A folder with a workflow of its own, a cache of Snakemake's, and a `lesionbench` that fails when it is used."""

    folder: Path

    def snakemake(self, *arguments: str) -> str:
        """Run Snakemake there on one core; return all that it printed."""
        other = self.folder / "other" / "lesionbench" / "__init__.py"
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text("raise ImportError('the other lesionbench')")
        path = os.pathsep.join([str(other.parents[1]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
            env={**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(self.folder / "cache")},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    return copy_checkout(repository, tmp_path_factory.mktemp("checkout")).folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def host(checkout, cache):
    """Commit the checkout, tag it v1 and put it where Snakemake keeps its clone of github.com/example/lesionbench."""

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=checkout, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("add", "--all")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "a")
    git("tag", "v1")
    clone = cache / "snakemake" / "snakemake" / "source-cache" / "snakemake-git-cache" / "github.com" / "example"
    git("clone", "--quiet", "--bare", ".", str(clone / "lesionbench"))
    return git("rev-parse", "HEAD").strip()


def test_all_of_it_runs_under_other_names_from_a_local_path(checkout, tmp_path):
    outer = Outer(tmp_path)
    write(tmp_path / "Snakefile", RENAMED.format(snakefile=repr(str(checkout / "workflow" / "Snakefile"))))
    write(tmp_path / "config.yaml", yaml.safe_dump({"segmentation": TINY}))
    output = outer.snakemake("--configfile", "config.yaml")
    assert re.search("^lesionbench_train +2$", output, flags=re.MULTILINE)
    outer.snakemake("--configfile", "config.yaml", "--report", "report.html")
    report = (tmp_path / "report.html").read_text()
    assert "tables/comparison.html" in report and ".prose .conclusion" in report
    assert "Mean Dice of the same predictions" in report


@pytest.mark.parametrize("source", ["local", "hosted"])
def test_it_runs_as_snakedeploy_deploys_it(checkout, tmp_path, source):
    outer = Outer(tmp_path)
    snakefile = repr(str(checkout / "workflow" / "Snakefile"))
    if source == "hosted":
        commit = host(checkout, tmp_path / "cache")
        snakefile = 'github("example/lesionbench", path="workflow/Snakefile", tag="v1")'
    write(tmp_path / "workflow" / "Snakefile", DEPLOYED.format(snakefile=snakefile))
    reference = {"reference_results": "workflow/report/paper.csv"}
    write(tmp_path / "config" / "config.yaml", yaml.safe_dump(TINY | reference))
    assert re.search("^train +2$", outer.snakemake("--dry-run"), flags=re.MULTILINE)
    outer.snakemake("results/tiny/tables/slices_by_subset.html")
    assert "35" in (tmp_path / "results" / "tiny" / "tables" / "slices_by_subset.csv").read_text()
    if source == "hosted":
        copies = list((tmp_path / "cache").glob("**/workflow/scripts/commit"))
        assert [copy.read_text() for copy in copies] == [commit]
