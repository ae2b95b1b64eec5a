"""Names that read as numbers, as missing or as truth values are text, from the names of files to tables and report."""

import json
import re

import nibabel as nib
import numpy as np
import pytest

from checkout import copy_checkout
from lesionbench.data.frames import read_frame
from lesionbench.evaluation.comparison import read_comparison

TESTED = ["001", "1", "10", "1e3", "NA", "nan", "null"]  # sorted as text
SUBSETS = {"None": "train", "True": "validation"} | dict.fromkeys(TESTED, "test")
LABELS = {"NA": "nan", "001": "NA", "1e3": " x "}
CONFIG = {
    "dataset": {"phantom": None, "root": "data"},
    "split": {"file": "split.csv"},
    "models": {model: {"label": label, "predictions": f"masks/{model}"} for model, label in LABELS.items()},
    "compare": list(LABELS),
    "figures": {"slices": [{"study": "001", "slice": 2}, {"study": "nan", "slice": 3}]},
    "pathvars": {"results": "results/names", "logs": "logs/names"},
}


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, np.diag([-2.0, 2.0, 8.0, 1.0])), path)


@pytest.fixture(scope="module")
def results(repository, tmp_path_factory):
    """A comparison of masks that lie right, one voxel off and two voxels off, with its report."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("names"))
    data = checkout.folder / "data"
    random = np.random.default_rng(0)
    for study in SUBSETS:
        mask = np.zeros((12, 10, 6), np.uint8)
        mask[1:6, 3:6, 1:4] = 1
        write(data / "masks" / f"{study}_mask.nii.gz", mask)
        tissue = np.where(np.arange(12) < 6, -1000, 40)[:, None, None]
        ct = np.where(mask, -400, tissue) + random.integers(-20, 20, mask.shape)
        write(data / "studies" / "CT-1" / f"{study}.nii.gz", ct.astype(np.int16))
        for shift, model in enumerate(LABELS):
            write(checkout.folder / "masks" / model / f"{study}.nii.gz", np.roll(mask, shift, axis=0))
    registry = "\n".join(["study_id,category", *(f"{study},CT-1" for study in SUBSETS), ""])
    (data / "dataset_registry.csv").write_text(registry)
    split = "\n".join(["study,subset", *(f"{study},{subset}" for study, subset in SUBSETS.items()), ""])
    (checkout.folder / "split.csv").write_text(split)
    checkout.snakemake(config=CONFIG)
    checkout.snakemake("--report", "results/names/report.html", config=CONFIG)
    return checkout.folder / "results" / "names"


def first_column(page, number=0):
    """The text of the first column of one of a page's tables, below the header."""
    body = re.findall(r"<tbody>(.*?)</tbody>", page, flags=re.DOTALL)[number]
    return re.findall(r"<tr>\s*<td[^>]*>(.*?)</td>", body)


def test_every_name_reaches_the_tables_in_its_order(results):
    comparison = read_comparison(results / "comparison.json")
    assert comparison.dice.index.tolist() == TESTED and comparison.dice.columns.tolist() == list(LABELS)
    assert comparison.dice.to_numpy().tolist() == [pytest.approx([1, 4 / 5, 3 / 5])] * len(TESTED)
    table = read_frame(results / "tables" / "comparison.csv")
    assert dict(zip(table["model"], table["label"], strict=True)) == LABELS
    assert read_frame(results / "tables" / "per_study.csv")["study"].tolist() == TESTED
    assert first_column((results / "tables" / "comparison.html").read_text()) == list(LABELS.values())
    assert first_column((results / "tables" / "per_study.html").read_text()) == TESTED
    said = "nan (1.000) scores higher in most studies than NA and  x , beyond chance"
    assert said in (results / "tables" / "comparison.tex").read_text()


def test_studies_called_by_numbers_are_those_of_the_registry(results):
    assert read_frame(results / "dataset" / "studies.csv")["study"].tolist() == sorted(SUBSETS)
    classes = read_frame(results / "dataset" / "classes.csv").set_index("category")
    assert classes["studies"].sum() == classes.loc["CT-1", "annotated"] == len(SUBSETS)


def test_every_name_stands_on_the_summary_and_in_the_report(results):
    page = (results / "summary.html").read_text()
    assert "How well do nan, NA and  x  find" in page
    assert first_column(page) == list(LABELS.values()) and first_column(page, -1) == sorted(SUBSETS)
    held = json.loads(re.search(r"var results = (\{.*\});$", (results / "report.html").read_text(), re.MULTILINE)[1])
    shown = {entry["labels"].get("model") for entry in held.values()} - {None}
    viewers = {f"All models, {rank} study to scroll through" for rank in ("worst", "median", "best")}
    assert shown == {*LABELS.values(), "All models, 1 of 2", "All models, 2 of 2", *viewers}


def test_slices_of_every_name_are_drawn(results):
    assert {path.stem for path in (results / "figures" / "predictions").iterdir()} == set(LABELS)
