"""A data set of another layout with several scans a patient, from `lesionbench init` to a training; and what reruns."""

import os
import re
import shutil

import pytest
import yaml

from checkout import copy_checkout, merged
from lesionbench.cli import main
from lesionbench.data.frames import read_frame

TARGETS = [
    f"results/tiny/{name}"
    for name in ("models/small/fold-0/seed-0/run.json", "tables/slices_by_subset.csv", "figures/class_pie.png")
]
HEADER = "study,patient,category"
LINES = {
    f"patient-{number:02d}_2020-03-{day}": [f"patient-{number:02d}", "mild" if number == 1 else "severe"]
    for number, days in ((1, ("01", "15")), (2, ("01",)), (3, ("01", "15")), (4, ("01",)))
    for day in days
}


def write_table(folder, **changes):
    """Write the table of studies; a change is a study's patient and category."""
    lines = [",".join([study, *changes.get(study[8:10], cells)]) for study, cells in LINES.items()]
    (folder / "table.csv").write_text("\n".join([HEADER, *lines, ""]))


@pytest.fixture(scope="module")
def run(repository, tmp_path_factory):
    """The checkout in which it has run, and its configuration."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("own"))
    folder = checkout.folder
    assert main(["phantom", str(folder / "scans"), "--layout", "patients", "--size", "32"]) == 0
    write_table(folder)
    own = {"root": "scans", "ct": "{patient}/{study}/ct.nii.gz", "mask": "{patient}/{study}/mask.nii.gz"}
    config = {"dataset": {**own, "phantom": None, "table": "table.csv"}, "compare": ["small"]}
    checkout.snakemake(*TARGETS, config=config)
    return checkout, config


@pytest.fixture
def results(run):
    return run[0].folder / "results" / "tiny"


def test_init_prints_what_was_run(run, capsys):
    checkout, config = run
    assert main(["init", str(checkout.folder / "scans")]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)["dataset"]
    assert merged(config["dataset"], printed) == {**config["dataset"], "root": str(checkout.folder / "scans")}


def test_the_studies_of_a_patient_are_in_one_part(results):
    studies = read_frame(results / "dataset" / "studies.csv")
    assert studies["study"].tolist() == list(LINES) and studies["patient"].nunique() == 4
    parts = read_frame(results / "splits" / "fold-0.csv").merge(studies, on="study")
    assert len(parts) == 5 and (parts.groupby("patient")["subset"].nunique() == 1).all()


def test_patients_and_the_data_sets_own_categories_are_counted(results):
    subsets = read_frame(results / "tables" / "slices_by_subset.csv").set_index("subset")
    assert subsets["patients"].to_dict() == {"train": 1, "validation": 1, "test": 1, "total": 3}
    classes = read_frame(results / "dataset" / "classes.csv")
    assert classes["category"].tolist() == ["mild", "severe"] and classes["studies"].tolist() == [2, 4]
    assert (results / "figures" / "class_pie.png").is_file()


def would_run(run, dataset=None, **changes):
    """What would run to make the targets after the table, or the section `dataset`, has changed."""
    checkout, config = run
    write_table(checkout.folder, **changes)
    output = checkout.snakemake("--dry-run", *TARGETS, config=merged(config, {"dataset": dataset or {}}))
    return set(re.findall(r"^(\w+) +\d+$", output, re.MULTILINE)) - {"total"}


def test_nothing_runs_again_after_the_same_table(run):
    assert would_run(run) == set()


@pytest.mark.parametrize("cells", [["patient-04", "mild"], ["someone", "severe"]])
def test_a_category_and_a_patient_that_change_no_split_train_nothing(run, cells):
    assert would_run(run, **{"04": cells}) == {"inventory", "slice_table", "plot"}


def test_a_patient_that_changes_the_split_trains_again(run):
    rules = would_run(run, **{"02": ["anna", "severe"]})
    assert {"inventory", "split", "gather", "train"} <= rules and "preprocess" not in rules


def test_another_file_for_a_study_is_cut_again(run):
    for path in sorted((run[0].folder / "scans").glob("*/*/mask.nii.gz")):
        shutil.copy(path.parents[2] / "patient-03" / "2020-03-01" / "mask.nii.gz", path.with_name("other.nii.gz"))
    rules = would_run(run, {"mask": "{patient}/{study}/other.nii.gz"})
    assert {"inventory", "preprocess", "train"} <= rules and "split" not in rules


def test_new_times_of_the_same_files_rerun_nothing(run):
    for path in (run[0].folder / "scans").rglob("*.nii.gz"):
        path.touch()
    assert would_run(run) == set()


def test_a_scan_that_was_replaced_by_an_older_file_is_read_again(run):
    first, second = sorted((run[0].folder / "scans").rglob("ct.nii.gz"))[:2]
    before = first.read_bytes()
    first.write_bytes(second.read_bytes())
    os.utime(first, (1, 1))
    assert {"inventory", "preprocess", "train"} <= would_run(run)
    first.write_bytes(before)
    assert would_run(run) == set()
