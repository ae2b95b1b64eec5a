"""External sets: added without a training, set beside the data set, and stopped where a model knows their scans."""

import shutil

import pytest

from lesionbench.data.frames import read_frame
from lesionbench.data.phantom import write_phantom
from lesionbench.data.studies import Phantom

RESULTS = "results/tiny"
SET = {"label": "Other {hospital}", "root": "data/other", "same_names": True}
OWN_RULES = {"preprocess", "gather", "train", "predict", "evaluate", "compare", "try_models"}


@pytest.fixture(scope="module")
def checkout(finished):
    """The finished experiment, and a set of three other studies."""
    root = finished.folder / SET["root"]
    write_phantom(root, Phantom(studies=3, annotated=3, size=32, slices=(6, 8), seed=9))
    yield finished
    for folder in (root, finished.folder / RESULTS / "external"):
        shutil.rmtree(folder)
    for path in (finished.folder / RESULTS).glob("*/external_sets.*"):
        path.unlink()


def test_a_set_is_added_without_a_training_and_stands_beside_the_data_set(checkout):
    jobs = checkout.would_run(external={"other": SET})
    assert jobs["preprocess_external"] == 3 and jobs["predict_external"] == jobs["evaluate_external"] == 2
    assert not OWN_RULES & set(jobs)
    tables = checkout.folder / RESULTS / "tables"
    checkout.snakemake(
        f"{RESULTS}/tables/external_sets.csv", f"{RESULTS}/external/other/figures/dice_by_model.png",
        f"{RESULTS}/figures/external_sets.png", config={"external": {"other": SET}},
    )  # fmt: skip
    table = read_frame(tables / "external_sets.csv")
    assert table["set"].tolist() == ["synthetic scans"] * 2 + [SET["label"]] * 2
    assert table["studies"].tolist() == [1, 1, 3, 3]
    folders = (tables, checkout.folder / RESULTS / "external/other/tables")
    own, there = (read_frame(folder / "comparison.csv").set_index("model")["mean_dice"] for folder in folders)
    change = table[table["set"] == SET["label"]].set_index("model")["change"]
    assert (change - (there - own)).abs().max() < 1e-9
    assert "Other {hospital}" in (tables / "external_sets.html").read_text()
    assert set(checkout.would_run(external={"other": SET})) <= {"plot_external", "summary"}


def test_another_label_writes_tables_again_and_predicts_nothing(checkout):
    jobs = checkout.would_run(external={"other": SET | {"label": "Another"}})
    assert "compare_sets" in jobs and not {"predict_external", "evaluate_external", "preprocess_external"} & set(jobs)


def test_a_scan_that_the_models_learn_from_stops_the_run_whatever_it_is_called(checkout):
    source = next((checkout.folder / RESULTS / "phantom/studies/CT-1").glob("study_0001*"))
    copy, mask = (checkout.folder / SET["root"] / name for name in ("studies/CT-1/new.nii.gz", "masks/new_mask.nii.gz"))
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(source, copy)
    shutil.copy(checkout.folder / RESULTS / "phantom/masks/study_0001_mask.nii.gz", mask)
    try:
        target = f"{RESULTS}/external/other/comparison.json"
        output = checkout.snakemake(target, config={"external": {"other": SET}}, check=False)
    finally:
        copy.unlink()
        mask.unlink()
    assert "new: studies/CT-1/new.nii.gz: the CT is the same file as that of study_0001 in the data set" in output
    assert "Traceback" not in output
