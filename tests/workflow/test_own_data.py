"""A data set of another layout, with several scans a patient, from `lesionbench init` to the report; and what reruns."""

import pytest
import yaml

from checkout import copy_checkout, merged
from lesionbench.cli import main
from lesionbench.data.frames import read_frame

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
    checkout.snakemake(config=config)
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


def test_the_report_counts_patients_and_the_data_sets_own_categories(results):
    assert "6 studies\nof 4 patients" in (results / "summary.html").read_text().replace(" of 4", "\nof 4")
    subsets = read_frame(results / "tables" / "slices_by_subset.csv").set_index("subset")
    assert subsets["patients"].sum() == 2 * subsets.loc["total", "patients"] == 8
    classes = read_frame(results / "dataset" / "classes.csv")
    assert classes["category"].tolist() == ["mild", "severe"] and classes["studies"].tolist() == [2, 4]
    assert (results / "figures" / "class_pie.png").is_file()


def would_run(run, **changes):
    checkout, config = run
    write_table(checkout.folder, **changes)
    return checkout.would_run(**config)


def test_nothing_runs_again_after_the_same_table(run):
    assert would_run(run) == {}


@pytest.mark.parametrize("cells", [["patient-04", "mild"], ["someone", "severe"]])
def test_a_category_and_a_patient_that_change_no_split_train_nothing(run, cells):
    rules = would_run(run, **{"04": cells})
    assert "inventory" in rules and "summary" in rules and not {"train", "preprocess", "split"} & set(rules)


def test_a_patient_that_changes_the_split_trains_again(run):
    rules = would_run(run, **{"02": ["patient-03", "severe"], "03": ["patient-03", "severe"]})
    assert rules["train"] == 1 and rules["split"] == 1 and "preprocess" not in rules


def test_another_file_for_a_study_is_cut_again(run):
    checkout, config = run
    folder = checkout.folder / "scans" / "patient-02" / "2020-03-01"
    other = {**config, "dataset": {**config["dataset"], "mask": "{patient}/{study}/other.nii.gz"}}
    for path in sorted((checkout.folder / "scans").glob("*/*/mask.nii.gz")):
        name = "other.nii.gz"
        path.with_name(name).symlink_to(path)
    assert folder.joinpath("other.nii.gz").exists()
    write_table(checkout.folder)
    rules = checkout.would_run(**other)
    assert rules["preprocess"] == 5 and rules["inventory"] == 1 and rules["train"] == 1
