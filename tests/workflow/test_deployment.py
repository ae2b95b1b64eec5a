"""The workflow where it is deployed: without data, in another folder, with its results in a storage, under a prefix."""

import importlib.util
import shutil
import subprocess
import sys

import pytest
import yaml

from checkout import TINY, copy_checkout

ONE = TINY | {"compare": ["small"]}
STORED = "results/tiny/metrics/small/fold-0/seed-0/studies.csv"
MODULE = """
configfile: "config.yaml"


module lesionbench:
    snakefile:
        {snakefile!r}
    config:
        config
    {change}


use rule * from lesionbench
"""


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    return copy_checkout(repository, tmp_path_factory.mktemp("checkout")).folder


def snakemake(folder, *arguments):
    """Run Snakemake in a folder on one core; return all that it printed."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("listing", ["--lint", "--list-rules"])
def test_rules_are_read_without_data_which_is_said(checkout, listing):
    output = snakemake(checkout, listing)
    assert "No data set: the folder data/COVID19_1110" in output and "the rules are those for synthetic data" in output
    assert {"--lint": "good condition", "--list-rules": "\ntry_models"}[listing] in output


def test_a_key_that_an_overlay_hides_is_named(checkout):
    text = (checkout / "config.yaml").read_text()
    assert "learning_rate: 0.0001" in text
    try:
        write(checkout / "config.yaml", text.replace("learning_rate: 0.0001", "learning_rate: 0.01"))
        output = snakemake(checkout, "--dry-run", "--configfile", "presets/demo.yaml")
    finally:
        write(checkout / "config.yaml", text)
    said = "presets/demo.yaml sets training.learning_rate, so the 0.01 of config.yaml does not count."
    assert output.count(said) == output.count("does not count") == 1


def test_it_runs_in_another_folder(checkout, tmp_path):
    write(tmp_path / "elsewhere" / "mine.yaml", yaml.safe_dump(ONE))
    where = ("--snakefile", checkout / "workflow" / "Snakefile", "--directory", tmp_path / "elsewhere")
    snakemake(tmp_path, *where, "--configfile", "elsewhere/mine.yaml", "--", "results/tiny/splits/fold-0.csv")
    assert (tmp_path / "elsewhere" / "results" / "tiny" / "splits" / "fold-0.csv").is_file()


@pytest.mark.parametrize(
    ("change", "below"),
    [('prefix: "sub/"', "sub/results"), ('pathvars: results="made"', "made")],
)
def test_as_a_module_its_results_go_where_the_statement_says_and_its_data_lie_where_they_are(
    checkout, tmp_path, change, below
):
    snakefile = str(checkout / "workflow" / "Snakefile")
    write(tmp_path / "Snakefile", MODULE.format(snakefile=snakefile, change=change))
    phantom = [sys.executable, "-m", "lesionbench", "phantom", "--layout", "mosmed", "--size", "32", "data"]
    subprocess.run(phantom, cwd=tmp_path, check=True)
    settings = {key: value for key, value in ONE.items() if key != "pathvars"} | {"dataset": {"root": "data"}}
    write(tmp_path / "config.yaml", yaml.safe_dump(settings))
    summary = snakemake(tmp_path, "--summary").partition("output_file\t")[2].splitlines()[1:]
    made = [line.split("\t")[0] for line in summary if "\t" in line]
    assert len(made) > 50 and all(file.startswith(f"{below}/") for file in made)


@pytest.mark.skipif(
    not importlib.util.find_spec("snakemake_storage_plugin_fs") or not shutil.which("rsync"),
    reason="the package snakemake-storage-plugin-fs or the program rsync is not installed",
)
def test_a_storage_provider_holds_all_that_it_makes(checkout, tmp_path):
    write(tmp_path / "config.yaml", yaml.safe_dump(ONE))
    storage = ("--default-storage-provider", "fs", "--default-storage-prefix", tmp_path / "store")
    where = ("--snakefile", checkout / "workflow" / "Snakefile", *storage)
    assert "total " in snakemake(tmp_path, *where, "--dry-run")
    snakemake(tmp_path, *where, STORED)
    assert (tmp_path / "store" / STORED).is_file()
    assert not [path for path in tmp_path.rglob("*.npz") if not path.is_relative_to(tmp_path / "store")]
    assert "Nothing to be done" in snakemake(tmp_path, *where, STORED)
