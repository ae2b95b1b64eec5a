"""The thirteen real studies under the names of other data sets: recognised, planned, and their inventory taken."""

import os
from pathlib import Path

import pytest
import yaml

from checkout import copy_checkout
from lesionbench.cli import main
from lesionbench.data.frames import read_frame

RADIOPAEDIA = ("10_85902_1", "10_85902_3", "14_85914_0")
NAMES = [f"coronacases_{number:03d}" for number in range(1, 11)] + [f"radiopaedia_{name}" for name in RADIOPAEDIA]
# Where CT and mask of a study go, by its number.
LAYOUTS = {
    "nnunet": lambda number: (f"imagesTr/case_{number:03d}_0000.nii.gz", f"labelsTr/case_{number:03d}.nii.gz"),
    "ma": lambda number: (
        f"COVID-19-CT-Seg_20cases/{NAMES[number - 1]}.nii.gz",
        f"Infection_Mask/{NAMES[number - 1]}.nii.gz",
    ),
    "patients": lambda number: tuple(
        f"patient-{number // 2:02d}/2020-03-{number:02d}/{kind}.nii.gz" for kind in ("ct", "mask")
    ),
}
PATIENTS = {"nnunet": None, "ma": 12, "patients": 7}


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    return copy_checkout(repository, tmp_path_factory.mktemp("layouts"))


@pytest.fixture(scope="module")
def usual(test_data):
    """The studies' own root."""
    root = test_data / "covid-ct-20"
    if not root.exists():
        pytest.skip(f"{root} is not here")
    return root


@pytest.mark.parametrize("name", LAYOUTS)
def test_renamed_studies_are_recognised_and_run(checkout, usual, capsys, monkeypatch, name):
    monkeypatch.chdir(checkout.folder)
    for number in range(1, 14):
        study = f"study_{number:04d}"
        files = (usual / "studies" / "CT-1" / f"{study}.nii.gz", usual / "masks" / f"{study}_mask.nii.gz")
        for link, target in zip(LAYOUTS[name](number), files, strict=True):
            path = Path("data", name, link)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(os.path.relpath(target, path.parent))
    assert main(["init", f"data/{name}"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"# Layout: {name} (") and "13 with both" in said
    config = yaml.safe_load(said)
    config["dataset"].update(phantom=None, table="presets/data/ma.csv" if name == "ma" else None)
    config["pathvars"] = {"results": f"results/{name}", "logs": f"logs/{name}"}
    assert "preprocess" in checkout.snakemake("--dry-run", config=config)

    results = Path("results", name)
    checkout.snakemake(f"{results}/dataset/studies.csv", f"{results}/splits/fold-0.csv", config=config)
    studies = read_frame(results / "dataset" / "studies.csv")
    assert len(studies) == 13 and studies["axial_slices"].sum() == 643 and (studies["lesion_ml"] > 0).all()
    assert (studies["patient"].nunique() if "patient" in studies else None) == PATIENTS[name]
    if PATIENTS[name]:
        split = read_frame(results / "splits" / "fold-0.csv").merge(studies, on="study")
        assert len(split) == 13 and (split.groupby("patient")["subset"].nunique() == 1).all()
