"""A wheel, built from the sdist, holds what the library reads, and segments without Snakemake and Matplotlib."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path
from zipfile import ZipFile

import nibabel as nib
import numpy as np
import pytest
import torch

from checkout import copy_checkout
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.training.record import write_run

SHIPPED = {
    "workflow/scripts/lesionbench": "lesionbench",
    "presets/data": "lesionbench/presets/data",
    "workflow/methods": "lesionbench/workflow/methods",
    "workflow/report": "lesionbench/workflow/report",
    "workflow/schemas": "lesionbench/workflow/schemas",
}
# The extras `report` and `workflow`.
EXTRAS = ("matplotlib", "seaborn", "snakemake")
MODEL = {"architecture": "classic-unet", "options": {"width": 4}}
RECORD = {
    "model": MODEL,
    "training": {"batch_size": 2, "precision": "float32"},
    "preprocessing": {"plane": "axial", "hu_window": [-1000, 1000], "hu_scale": 1000},
}


def run(*command, cwd):
    done = subprocess.run([*map(str, command)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    return copy_checkout(repository, tmp_path_factory.mktemp("checkout")).folder


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    """A wheel that nothing but the sdist went into."""
    folder = tmp_path_factory.mktemp("dist")
    run(
        sys.executable,
        "-c",
        f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})",
        cwd=checkout,
    )
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    (source,) = [path for path in folder.iterdir() if path.is_dir()]
    offline = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, source, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An interpreter with the wheel and our packages, without those of the extras and without the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for name in EXTRAS:
        (site / f"{name}.py").write_text(f"raise ModuleNotFoundError({name!r})")
    # A .pth file in a folder that a .pth file names is not read: the checkout stays unseen.
    (site / "shared.pth").write_text(sysconfig.get_path("purelib"))
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    return folder / "bin" / "python"


def test_it_holds_every_file_that_the_library_reads_and_no_other(checkout, wheel):
    wanted = {
        f"{there}/{path.relative_to(checkout / here).as_posix()}"
        for here, there in SHIPPED.items()
        for path in (checkout / here).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == wanted


def test_it_segments_checks_and_knows_layouts_and_schema(python, tmp_path):
    network = build_network(ModelEntry(**MODEL)).module
    weights = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    write_run(tmp_path / "run", weights, [{"epoch": 1, "validation_loss": 1.0, "seconds": 0.0}], RECORD)
    scan = np.where(np.arange(16 * 16 * 4).reshape(16, 16, 4) % 3, -850, 40).astype(np.int16)
    for folder, voxels in (("studies/CT-1", scan), ("masks", (scan > 0).astype(np.uint8))):
        (tmp_path / "set" / folder).mkdir(parents=True)
        name = "study_0001" if folder != "masks" else "study_0001_mask"
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "set" / folder / f"{name}.nii.gz")

    def lesionbench(*arguments):
        return run(python, "-m", "lesionbench", *arguments, cwd=tmp_path)

    ct = "set/studies/CT-1/study_0001.nii.gz"
    assert "lesion of" in lesionbench("segment", ct, "mask.nii.gz", "--run", "run", "--device", "cpu")
    assert nib.load(tmp_path / "mask.nii.gz").shape == scan.shape
    assert "MosMedData" in lesionbench("init", "set")
    code = """
from pathlib import Path
import lesionbench
from lesionbench.experiment.checks import read_reference_results
from lesionbench.experiment.config import resolve_config
from lesionbench.report import model_card, summary
print(Path(lesionbench.__file__).parents[1])
settings = resolve_config({"models": {"floor": {"method": "threshold"}}, "compare": ["floor"]})
assert settings["training"]["patience"] == 5
assert len(read_reference_results("workflow/report/paper.csv")) == 4
assert model_card.TEMPLATE.is_file() and summary.TEMPLATE.is_file()
"""
    assert Path(run(python, "-c", code, cwd=tmp_path).strip()).is_relative_to(python.parents[1])
