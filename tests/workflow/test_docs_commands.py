"""Every shell command of README, CONTRIBUTING and docs: fences of sh, and calls of make and Snakemake inside a line.

They run as they are written, in a copy of the checkout with the tiny experiment in its config.yaml, where `snakemake`
plans and runs nothing, and `make` prints what it would do. What needs a cluster, a network, a GPU or real data has the
line `<!-- not run: why -->` above it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from checkout import TINY, copy_checkout, merged
from lesionbench.data.phantom import write_phantom
from lesionbench.data.studies import Phantom
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.training.record import write_run

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(REPOSITORY.glob("docs/*.md"))]
FENCE = re.compile(r"^(<!-- not run: .+ -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STAND_INS = {
    "make": f'exec {shutil.which("make")} --dry-run "$@"',
    "python": f'exec {sys.executable} "$@"',
    "lesionbench": f'exec {sys.executable} -m lesionbench "$@"',
    # A report needs results, which test_report.py has: here its name is left out.
    "snakemake": 'while (($#)); do [ $1 = --report ] && shift || given+=("$1"); shift; done\n'
    f'exec {sys.executable} -m snakemake --dry-run "${{given[@]}}"',
    "activate": "",
}


def commands():
    """The text of each fence that can run anywhere, and of each call in a line of text, with page and line."""
    found = {}
    for page in PAGES:
        text = page.read_text()
        fences = [(match.start(), match[3]) for match in FENCE.finditer(text) if match[2] == "sh" and not match[1]]
        prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
        calls = [(match.start(), match[1]) for match in re.finditer(r"`((?:make|snakemake) [^`]+)`", prose)]
        for source, pairs in ((text, fences), (prose, calls)):
            for start, command in pairs:
                where = f"{page.name}:{source[:start].count(chr(10)) + 1}"
                found.setdefault(command, where)
    return [pytest.param(command, id=where) for command, where in found.items()]


@pytest.fixture(scope="module")
def checkout(repository, finished, tmp_path_factory):
    """A copy with the tiny experiment, a data set, a scan, and a finished training whose network finds nothing.

    What the tiny experiment has made stands for the results of the demo.
    """
    copy = copy_checkout(repository, tmp_path_factory.mktemp("commands"))
    tiny = {**TINY, "pathvars": {}}
    config = copy.folder / "config.yaml"
    settings = merged(yaml.safe_load(config.read_text()), tiny)
    del settings["dataset"]["root"]
    config.write_text(yaml.safe_dump(settings))
    hu = np.where(np.arange(9 * 11 * 5).reshape(9, 11, 5) % 3, -850, 40).astype(np.int16)
    nib.save(nib.Nifti1Image(hu, np.eye(4)), copy.folder / "scan.nii.gz")
    write_phantom(copy.folder / "data/COVID19_1110", Phantom(studies=2, annotated=2, size=32, slices=(5, 6)))
    model = {"architecture": "classic-unet", "options": {"width": 4}}
    record = {
        "model": model,
        "training": {"batch_size": 2, "precision": "float32"},
        "preprocessing": {"plane": "coronal", "hu_window": [-1000, 1000], "hu_scale": 1000},
        "studies": {"train": ["study_0001"], "validation": ["study_0002"]},
        "inputs_sha256": {"train": {"study_0001": "0" * 64}, "validation": {"study_0002": "0" * 64}},
        **{"fold": 0, "seed": 0, "epochs": 1, "best_epoch": 1, "parameters": 1},
    }
    weights = build_network(ModelEntry(**model)).module.state_dict()
    history = [{"epoch": 1, "validation_loss": 1.0, "validation_dice": 0.0, "seconds": 0.0}]
    write_run(copy.folder / "results" / "models" / "unet" / "fold-0" / "seed-0", weights, history, record)
    shutil.copytree(finished.folder / "results" / "tiny", copy.folder / "results" / "demo")
    programs = copy.folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, script in STAND_INS.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (programs / name).chmod(0o755)
    return copy


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_docs_works(checkout, command):
    programs = f"{checkout.folder}/.venv/bin{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": str(checkout.folder / "workflow" / "scripts")}
    shell = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(
        shell, cwd=checkout.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_fences_of_sh(page):
    text = page.read_text()
    assert {match[2] for match in FENCE.finditer(text)} <= {"sh", "yaml", "python", "text"}
    indented = re.findall(
        r"^ {4}(?:make|snakemake|lesionbench|python|pip|git|source) .*", FENCE.sub("", text), re.MULTILINE
    )
    assert indented == []
