"""Every figure of the catalogue has its function, and a caption that its experiment fills in."""

import re
from importlib import import_module
from inspect import signature

import pytest

from lesionbench.experiment.digest import code_digest
from lesionbench.experiment.plan import plan_experiment
from lesionbench.report.catalogue import (
    AT_A_GLANCE,
    FIGURES,
    TABLES,
    caption,
    due_figures,
    entry,
    external_figures,
    grid_caption,
    predictions_caption,
)
from lesionbench.report.plot import READERS
from planned import MODELS, config, with_masks
from touched import touch

TRAINED_ONLY = {"learning_curves", "dice_by_cost"}
EXTERNAL_ONLY = {"external_sets"}
CHOSEN_ONLY = {"operating_points"}
PROBABILITIES_ONLY = {"reliability", "precision_recall", "froc", "dice_by_threshold"}
SEVERITY_ONLY = {"share_by_class"}  # of a target of its own
ASKED_ONLY = CHOSEN_ONLY | PROBABILITIES_ONLY | SEVERITY_ONLY
SEVERAL_ONLY = {"pairwise_differences", "rank_stability", "rank_agreement"}
STUDIES = [f"study_{number:04d}" for number in range(1, 13)]


@pytest.fixture
def from_elsewhere(tmp_path):
    """The settings of a model whose masks of all studies of the phantom were made elsewhere."""
    return {"predictions": with_masks(tmp_path / "other", STUDIES)}


@pytest.fixture(params=["trained", "one", "cross-validation", "elsewhere", "paper"])
def experiment(request, from_elsewhere, tmp_path):
    paper = tmp_path / "paper.csv"
    paper.write_text("model,mean_dice,max_dice\na,0.5,0.6\n")
    changes = {
        "trained": {},
        "one": {"compare": ["a"]},
        "cross-validation": {"split": {"protocol": "cross-validation"}, "seeds": [0, 1]},
        "elsewhere": {"models": {"other": from_elsewhere}, "compare": ["other"]},
        "paper": {"reference_results": str(paper)},
    }
    return plan_experiment(config(**changes[request.param]))


@pytest.mark.parametrize("name", FIGURES)
def test_the_function_of_a_figure_takes_what_the_figure_reads(name):
    figure = FIGURES[name]
    assert figure.name == name
    module, _, function = figure.function.partition(":")
    found = getattr(import_module(f"lesionbench.report.figures.{module}"), function)
    assert tuple(signature(found).parameters) == figure.reads
    assert set(figure.reads) <= READERS.keys() and set(figure.files) == set(figure.reads) - {"labels"}


def test_each_figure_has_a_digest_of_its_own_function():
    digests = {code_digest("plot", figure.code) for figure in FIGURES.values()}
    assert len(digests) == len(FIGURES) and code_digest("plot") not in digests


def test_captions_are_sentences_that_the_experiment_fills_in(experiment):
    for name, figure in FIGURES.items():
        text = caption(name, experiment)
        assert re.match("[A-Z]", text) and text.endswith(".") and not set("{}") & set(text), name
        assert "{studies}" not in figure.caption or experiment.test_studies(experiment.dataset_label) in text, name
        assert "{shown}" not in figure.caption or experiment.shown_studies() in text, name


def test_the_answer_comes_first_in_the_order_of_reading():
    tables = [entry("Table", name) for name, table in TABLES.items() if table.category == AT_A_GLANCE]
    figures = [entry("Figure", name) for name, figure in FIGURES.items() if figure.category == AT_A_GLANCE]
    assert sorted([*tables, *figures]) == [
        "2. Table: Comparison of the models",
        "3. Figure: Dice by model",
        "4. Table: Differences between the models",
        "5. Figure: Differences between pairs of models",
        "6. Table: Checklist for the manuscript",
    ]
    assert entry("Figure", "dice_by_cost") == "Figure: Dice over cost"


def test_no_two_entries_of_the_menu_have_one_name():
    for kind, known in (("Figure", FIGURES), ("Table", TABLES)):
        assert len({entry(kind, name) for name in known}) == len(known)


def test_captions_of_predictions_name_the_models_and_how_slices_were_chosen(experiment):
    labels = list(experiment.labels.values())
    assert f"best study of {labels[0]} by" in predictions_caption(experiment, next(iter(experiment.rows)))
    assert f"of {', '.join(labels)}. The number" in grid_caption(experiment)
    assert grid_caption(experiment).startswith("Slices chosen by rule from 2 test studies")


def test_a_caption_says_that_slices_are_listed():
    shown = plan_experiment(config(figures={"slices": [{"study": "study_0002", "slice": 2}]}))
    assert grid_caption(shown).startswith("Slices listed in the configuration: CT")


def test_captions_count_what_the_experiment_has():
    experiment = plan_experiment(config(seeds=[0, 1], evaluation={"resamples": 12345}))
    assert "(n = 4)" in caption("learning_curves", experiment)
    assert "the best epoch, of the lowest validation loss:" in caption("learning_curves", experiment)
    assert "each of 2 models" in caption("rank_stability", experiment)
    assert "2 test studies of synthetic scans (averaged over 2 seeds)" in caption("rank_stability", experiment)
    assert "(12,345 times)" in caption("rank_stability", experiment)
    assert "among 2 test studies (seed 0)" in caption("example_slice", experiment)
    scored = plan_experiment(config(evaluation={"surface_tolerance_mm": 2.5, "min_lesion_mm3": 20}))
    assert all(words in caption("rank_agreement", scored) for words in ("tolerance of 2.5 mm", "at least 20 mm³"))


def test_the_paper_is_spoken_of_only_beside_its_results(tmp_path):
    paper = tmp_path / "paper.csv"
    paper.write_text("model,mean_dice,max_dice\na,0.5,0.6\n")
    without, beside = (plan_experiment(config(reference_results=path)) for path in (None, str(paper)))
    said = [caption("dice_readings", *told) for told in ((without,), (beside,), (beside, "2 studies of another set"))]
    assert ["paper" in text for text in said] == [False, True, False]


def test_trained_models_have_all_figures():
    due = due_figures(plan_experiment(config()))
    assert due == [name for name in FIGURES if name not in EXTERNAL_ONLY | ASKED_ONLY]


@pytest.mark.parametrize("evaluation", [{"threshold": "validation"}, {"min_component_mm3": "validation"}])
def test_operating_points_are_shown_where_they_are_chosen(evaluation):
    experiment = plan_experiment(config(evaluation=evaluation, seeds=[0, 1]))
    assert set(due_figures(experiment)) == FIGURES.keys() - EXTERNAL_ONLY - PROBABILITIES_ONLY - SEVERITY_ONLY
    assert "(n = 4)" in caption("operating_points", experiment)


def test_probabilities_are_judged_where_they_are_kept(from_elsewhere):
    models = {**MODELS, "other": from_elsewhere, "mean": {"members": ["a", "b"]}, "vote": {"members": ["other"]}}
    compare, evaluation = ["a", "other", "mean", "vote"], {"probabilities": True}
    experiment = plan_experiment(config(models=models, compare=compare, evaluation=evaluation))
    assert set(due_figures(experiment)) == FIGURES.keys() - EXTERNAL_ONLY - CHOSEN_ONLY - SEVERITY_ONLY
    assert list(experiment.calibrated_labels) == ["a", "mean"]


def test_the_figure_of_external_sets_is_due_where_there_are_some(tmp_path):
    touch(tmp_path, "ct/x.nii.gz", "mask/x.nii.gz")
    section = {"root": str(tmp_path), "ct": "ct/{study}.nii.gz", "mask": "mask/{study}.nii.gz"}
    experiment = plan_experiment(config(external={"out": section}))
    assert set(due_figures(experiment)) == FIGURES.keys() - ASKED_ONLY
    of_each = external_figures(experiment)
    assert "dice_by_model" in of_each and not {"learning_curves", "external_sets", "example_slice"} & set(of_each)
    text = caption("dice_by_model", experiment, experiment.external["out"].words)
    assert "1 study of the external set out" in text and "test studies" not in text


def test_one_model_has_no_figure_of_differences():
    assert (
        set(due_figures(plan_experiment(config(compare=["a"]))))
        == FIGURES.keys() - SEVERAL_ONLY - EXTERNAL_ONLY - ASKED_ONLY
    )


def test_masks_from_elsewhere_have_no_figure_of_trainings(from_elsewhere):
    models = {"one": from_elsewhere, "two": from_elsewhere}
    due = due_figures(plan_experiment(config(models=models, compare=["one", "two"])))
    assert set(due) == FIGURES.keys() - TRAINED_ONLY - EXTERNAL_ONLY - ASKED_ONLY


def test_without_ct_there_is_no_figure_of_slices(from_elsewhere, tmp_path):
    with_masks(tmp_path / "masks", STUDIES, "_mask.nii.gz")
    root = {"dataset": {"root": str(tmp_path)}, "models": {"one": from_elsewhere}, "compare": ["one"]}
    due = due_figures(plan_experiment(config(**root)))
    assert set(due) == FIGURES.keys() - TRAINED_ONLY - SEVERAL_ONLY - EXTERNAL_ONLY - ASKED_ONLY - {"example_slice"}


def test_the_pie_is_that_of_the_data_sets_own_categories_and_left_out_without_any(tmp_path):
    touch(tmp_path, *(f"{kind}/{name}.nii.gz" for kind in ("ct/sick", "masks") for name in "abc"), "ct/well/d.nii.gz")

    def planned(ct):
        data = {"root": str(tmp_path), "ct": ct, "mask": "masks/{study}.nii.gz"}
        return plan_experiment(config(dataset=data, compare=["a"]))

    experiment = planned("ct/{category}/{study}.nii.gz")
    assert experiment.categories == ["sick", "well"] and "class_pie" in due_figures(experiment)
    assert (
        caption("class_pie", experiment)
        == f"Studies of {tmp_path.name} by category, with number and share of all studies."
    )
    assert "CT-0 (none)" in caption("class_pie", plan_experiment(config()))
    assert "class_pie" not in due_figures(planned("ct/sick/{study}.nii.gz"))
