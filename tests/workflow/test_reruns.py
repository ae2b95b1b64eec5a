"""Every row of the table in docs/reruns.md, by a dry run after a finished run."""

import csv
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from checkout import TINY, Checkout

LIBRARY = "workflow/scripts/lesionbench"
OTHER = {**TINY["models"]["small"], "label": "New"}


@contextmanager
def edited(checkout, name, change):
    """Rewrite a file of the checkout inside the block."""
    path = checkout.folder / name
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)
    try:
        yield
    finally:
        path.write_text(before)


def test_nothing_changed(finished):
    assert finished.would_run() == {}


def test_figure_formats_redraw_figures_only(finished):
    jobs = finished.would_run(figures={"formats": ["png", "svg"]})
    assert set(jobs) == {"plot", "plot_predictions", "plot_model_grid"}


def test_figure_slices_redraw_the_grid_of_models_only(finished):
    test_study = next((finished.folder / "results/tiny/predictions/small/fold-0/seed-0").glob("*.nii.gz"))
    chosen = [{"study": test_study.name.removesuffix(".nii.gz"), "slice": 2}]
    assert finished.would_run(figures={"slices": chosen}) == {"plot_model_grid": 1, "slice_table": 1, "summary": 1}


def test_without_the_viewer_nothing_runs_and_its_pages_are_not_due(finished):
    assert finished.would_run(figures={"viewer": False}) == {}
    assert "view_study" not in finished.snakemake("-n", "--forceall", config={"figures": {"viewer": False}})


def test_resamples_redo_the_comparison(finished):
    jobs = finished.would_run(evaluation={"resamples": 300})
    assert "compare" in jobs and not {"evaluate", "predict", "train"} & set(jobs)


@pytest.mark.parametrize("key", ["surface_tolerance_mm", "min_lesion_mm3"])
def test_metric_settings_redo_evaluation(finished, key):
    jobs = finished.would_run(evaluation={key: 7})
    assert jobs["evaluate"] == 2 and "compare" in jobs and not {"predict", "train"} & set(jobs)


def test_threshold_redoes_prediction(finished):
    jobs = finished.would_run(evaluation={"threshold": 0.4})
    assert jobs["predict"] == jobs["evaluate"] == 2 and "train" not in jobs


def test_a_new_model_trains_that_model_only(finished):
    jobs = finished.would_run(models={"new": OTHER}, compare=["small", "mobile", "new"])
    assert jobs["train"] == jobs["predict"] == jobs["evaluate"] == 1
    assert "compare" in jobs and not {"preprocess", "split", "phantom", "inventory"} & set(jobs)


def test_a_label_redoes_tables_and_figures(finished):
    jobs = finished.would_run(models={"small": {"label": "Other"}})
    assert "compare" in jobs and not {"train", "predict", "evaluate"} & set(jobs)


@pytest.mark.parametrize("change", [{"series": "Lung*"}, {"lesion_labels": [1, 2]}])
def test_how_files_are_read_redoes_what_opens_them(finished, change):
    jobs = finished.would_run(dataset=change)
    assert jobs["inventory"] == 1 and jobs["preprocess"] == 5 and jobs["train"] == jobs["evaluate"] == 2
    assert not {"phantom", "split"} & set(jobs)


def test_one_models_learning_rate_retrains_that_model_only(finished):
    jobs = finished.would_run(models={"small": {"training": {"learning_rate": 0.002}}})
    assert jobs["train"] == jobs["predict"] == jobs["evaluate"] == 1 and "compare" in jobs and "preprocess" not in jobs


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"learning_rate": 0.002}},
        {"preprocessing": {"hu_scale": 500}},
        {"preprocessing": {"spacing": [1.5, 1.5]}},
        {"preprocessing": {"size": [48, 48]}},
    ],
)
def test_the_recipe_retrains_all_models_and_cuts_no_slices(finished, change):
    jobs = finished.would_run(**change)
    assert jobs["train"] == 2 and "preprocess" not in jobs


def test_one_more_seed_trains_that_seed(finished):
    jobs = finished.would_run(seeds=[0, 1])
    assert jobs["train"] == jobs["predict"] == jobs["evaluate"] == 2 and "preprocess" not in jobs


def test_another_split_retrains_on_the_same_slices(finished):
    jobs = finished.would_run(split={"seed": 1})
    assert jobs["split"] == 1 and jobs["train"] == 2 and "preprocess" not in jobs


@pytest.mark.parametrize("change", [{"hu_window": [-900, 900]}, {"plane": "coronal"}])
def test_preprocessing_redoes_everything_after_it(finished, change):
    jobs = finished.would_run(preprocessing=change)
    assert jobs["preprocess"] == 5 and jobs["train"] == jobs["evaluate"] == 2 and "compare" in jobs
    assert not {"phantom", "inventory", "split"} & set(jobs)


@pytest.mark.parametrize(("subset", "retrained"), [("test", 0), ("validation", 2), ("train", 2)])
def test_a_changed_mask_retrains_what_learns_or_stops_by_it(finished, subset, retrained):
    with (finished.folder / "results/tiny/splits/fold-0.csv").open() as file:
        study = next(row["study"] for row in csv.DictReader(file) if row["subset"] == subset)
    mask = finished.folder / f"results/tiny/phantom/masks/{study}_mask.nii.gz"
    before, times = mask.read_bytes(), mask.stat()
    mask.write_bytes(before + b"\0")
    try:
        jobs = finished.would_run()
    finally:
        mask.write_bytes(before)
        os.utime(mask, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert jobs["preprocess"] == jobs["gather"] == 1
    assert jobs.get("train", 0) == retrained and jobs["evaluate"] == 2


def test_reference_results_redo_the_comparison(finished):
    reference = finished.folder / "reference.csv"
    reference.write_text("model,mean_dice,max_dice\nsmall,0.5,0.6\n")
    jobs = finished.would_run(reference_results=reference.name)
    assert "compare" in jobs and not {"train", "predict", "evaluate"} & set(jobs)


def test_comments_and_formatting_rerun_nothing(finished):
    with (
        edited(finished, f"{LIBRARY}/training/loop.py", lambda text: f"# A comment.\n{text}"),
        edited(finished, f"{LIBRARY}/data/volume.py", lambda text: re.sub(r'^"""', '"""Another docstring. ', text)),
        edited(finished, "workflow/scripts/train.py", lambda text: text.replace("\n\n", "\n\n\n")),
    ):
        assert finished.would_run() == {}


def test_messages_and_what_nothing_uses_rerun_nothing(finished):
    with (
        edited(finished, f"{LIBRARY}/files.py", lambda text: text.replace("Make room and run", "Free space and run")),
        edited(finished, f"{LIBRARY}/logs.py", lambda text: text.replace("%Y-%m-%d", "%d.%m.%Y")),
        edited(
            finished,
            f"{LIBRARY}/experiment/slurm.py",
            lambda text: text.replace("CANCEL_SECONDS = 120", "CANCEL_SECONDS = 9"),
        ),
        edited(finished, f"{LIBRARY}/data/volume.py", lambda text: f"{text}\n\ndef unused():\n    return 1\n"),
    ):
        assert finished.would_run() == {}


def test_a_changed_metric_retrains_nothing(finished):
    with edited(
        finished, f"{LIBRARY}/evaluation/metrics.py", lambda text: text.replace("return part / whole", "return whole")
    ):
        jobs = finished.would_run()
    assert jobs["evaluate"] == 2 and "compare" in jobs and not {"train", "predict", "preprocess"} & set(jobs)


def test_a_changed_loss_retrains_what_it_trained(finished):
    with edited(finished, f"{LIBRARY}/training/loss.py", lambda text: text.replace("EPSILON = 1.0", "EPSILON = 0.5")):
        jobs = finished.would_run()
    assert jobs["train"] == 2 and "preprocess" not in jobs
    with edited(
        finished, f"{LIBRARY}/training/loss.py", lambda text: text.replace("+ cross_entropy", "+ 2 * cross_entropy")
    ):
        assert finished.would_run() == {}


def test_a_changed_figure_is_the_only_one_redrawn(finished):
    pie = f"{LIBRARY}/report/figures/class_pie.py"
    with edited(finished, pie, lambda text: text.replace("startangle=90", "startangle=80")):
        assert finished.would_run() == {"plot": 1}


def test_a_new_loss_reruns_its_users_alone(finished):
    new = "\n\ndef square_loss(logits, target, valid=None):\n    return ((logits.sigmoid() - target) ** 2).mean()\n"
    schema = "workflow/schemas/config.schema.yaml"
    with (
        edited(finished, f"{LIBRARY}/training/loss.py", lambda text: text + new),
        edited(finished, schema, lambda text: text.replace("enum: [dice, dice_ce]", "enum: [dice, dice_ce, square]")),
    ):
        assert finished.would_run() == {}
        assert finished.would_run(models={"small": {"training": {"loss": "square"}}})["train"] == 1


@pytest.mark.parametrize(
    ("result", "rule"),
    [("models/small/fold-0/seed-0/history.csv", "train"), ("metrics/small/fold-0/seed-0/slices.csv", "evaluate")],
)
def test_a_deleted_result_is_made_again(finished, result, rule):
    path = finished.folder / "results/tiny" / result
    aside = path.rename(path.with_suffix(".aside"))
    assert finished.would_run()[rule] == 1
    aside.rename(path)


def test_touching_scripts_reruns_nothing(finished):
    for path in (finished.folder / "workflow").rglob("*.py"):
        os.utime(path)
    assert finished.would_run() == {}


@pytest.mark.parametrize("with_records", [True, False])
def test_a_fresh_clone_with_the_results_copied_in_reruns_nothing(finished, tmp_path, with_records):
    clone = Checkout(tmp_path / "clone")
    made = {"results", "logs", ".snakemake"}
    # copyfile gives each file of the checkout the present as its modification time, as cloning does.
    shutil.copytree(finished.folder, clone.folder, ignore=lambda *_: made, copy_function=shutil.copyfile)
    for name in ["results", *([".snakemake"] if with_records else [])]:
        shutil.copytree(finished.folder / name, clone.folder / name)
    assert clone.would_run() == {}


def test_the_documented_rules_exist(repository):
    table = Path(repository, "docs", "reruns.md").read_text()
    sources = [path.read_text() for path in repository.glob("workflow/rules/*.smk")]
    rules = set(re.findall(r"^ *rule (\w+):", "\n".join(sources), re.MULTILINE))
    named = {name for name in re.findall(r"`([a-z_]+)`", table) if name in rules or name.startswith("plot_")}
    assert {"train", "predict", "evaluate", "compare", "preprocess", "split"} <= named <= rules
