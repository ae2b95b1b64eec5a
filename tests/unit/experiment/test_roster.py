"""Which models and which runs."""

import pytest

from lesionbench.errors import UserError
from lesionbench.experiment.plan import plan_experiment
from lesionbench.experiment.rows import Run
from lesionbench.training import trackers
from planned import MODELS, config, with_methods


def test_runs_are_models_by_folds_by_seeds_in_the_order_of_compare():
    experiment = plan_experiment(config(split={"protocol": "cross-validation", "folds": 2}, seeds=[3, 1]))
    assert experiment.runs[:5] == [Run("b", 0, 3), Run("b", 0, 1), Run("b", 1, 3), Run("b", 1, 1), Run("a", 0, 3)]
    assert len(experiment.runs) == 8


def test_encoder_weights_and_labels():
    experiment = plan_experiment(config())
    assert experiment.encoder_weights("b") == ["<resources>/weights/resnet34.safetensors"]
    assert experiment.encoder_weights("a") == []
    assert experiment.labels == {"b": "b", "a": "Model A"}


def test_runs_without_scores_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = plan_experiment(config(seeds=[0, 1], pathvars={"results": "mine"}))
    for model, seed in (("b", 0), ("b", 1), ("a", 1)):
        scores = tmp_path / "mine" / "metrics" / model / "fold-0" / f"seed-{seed}" / "studies.csv"
        scores.parent.mkdir(parents=True)
        scores.touch()
    assert experiment.unfinished().startswith("1 of 4 runs without scores: a (fold 0, seed 0). What has finished is")
    (tmp_path / "mine" / "metrics" / "a" / "fold-0" / "seed-0").mkdir()
    (tmp_path / "mine" / "metrics" / "a" / "fold-0" / "seed-0" / "studies.csv").touch()
    assert experiment.unfinished() == ""


def test_a_program_that_is_not_there_is_told_before_anything_runs():
    with pytest.raises(UserError, match=r"models\.tool: there is no program no-such-tool to call"):
        plan_experiment(with_methods(tool={"command": "no-such-tool"})).check_programs(["tool"])
    both = with_methods(tool={"command": "no-such-tool"}, nothing={"method": "empty"})
    plan_experiment(both).check_programs(["nothing"])


def test_trackers_are_no_part_of_the_recipe_or_of_what_the_numbers_depend_on(monkeypatch):
    plain = plan_experiment(config())
    tracked = plan_experiment(config(training={"log": ["tensorboard", "mlflow"]}, notify="mail me@example.org"))
    assert (plain.log("a"), tracked.log("a")) == ([], ["tensorboard", "mlflow"])
    assert tracked.recipe("a") == plain.recipe("a") and tracked.used_settings == plain.used_settings
    own = plan_experiment(config(models={**MODELS, "a": {**MODELS["a"], "training": {"log": "mlflow"}}}))
    assert (own.log("a"), own.log("b")) == (["mlflow"], [])
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    own.check_trackers(["b"])
    with pytest.raises(UserError, match=r"training\.log: mlflow is not installed"):
        own.check_trackers(["a", "b"])
