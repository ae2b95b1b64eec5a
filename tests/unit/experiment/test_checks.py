import re

import pytest

from lesionbench.errors import UserError
from lesionbench.experiment.checks import read_reference_results
from lesionbench.experiment.plan import plan_experiment
from planned import MODELS, config, with_masks


def test_masks_without_ct_are_named(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "study_0255_mask.nii.gz").touch()
    with pytest.raises(UserError, match=r"study_0255: 1 of 1 masks have no CT in .*\{category\}/\{study\}\.nii\.gz"):
        plan_experiment(config(dataset={"root": str(tmp_path)}))


def test_a_missing_mask_is_named_with_its_model_and_path(tmp_path):
    first, second = plan_experiment(config()).folds[0].test
    other = with_masks(tmp_path / "other", [first])
    with pytest.raises(UserError) as error:
        plan_experiment(config(models={**MODELS, "other": {"predictions": other}}, compare=["a", "other"]))
    said = str(error.value)
    assert said.startswith(f"models.other.predictions: 1 of 2 test studies have no mask there ({second})")
    assert f"{other}/{second}.nii.gz" in said and ".nii.gz or .nii" in said


@pytest.mark.parametrize("label", ["nan", "NA", "None", " x ", "001"])
def test_any_other_label_is_kept_as_it_is(label):
    assert plan_experiment(config(models={**MODELS, "a": {**MODELS["a"], "label": label}})).labels["a"] == label


def test_links_to_nothing_are_named_with_their_key(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("not-fetched")
    for key, changes in {
        "reference_results": {"reference_results": str(link)},
        "split.file": {"split": {"file": str(link)}},
        r"models\.b\.encoder_weights": {"models": {**MODELS, "b": {**MODELS["b"], "encoder_weights": str(link)}}},
    }.items():
        with pytest.raises(UserError, match=f"{key}: 1 of the links there lead to nothing"):
            plan_experiment(config(**changes))


def test_masks_from_elsewhere_that_are_links_to_nothing_are_counted(tmp_path):
    names = [f"study_{number:04d}" for number in range(1, 11)]
    for name in names:
        (tmp_path / f"{name}.nii.gz").symlink_to("not-fetched")
    with pytest.raises(UserError, match=r"models\.m\.predictions: 2 of the links there lead to nothing"):
        plan_experiment(config(models={"m": {"predictions": str(tmp_path)}}, compare=["m"]))


def test_a_file_that_is_not_there_is_named_with_its_key(tmp_path):
    with pytest.raises(UserError, match="reference_results: there is no file"):
        plan_experiment(config(reference_results=str(tmp_path / "none.csv")))
    models = {"a": {"architecture": "Unet", "encoder": "resnet34", "encoder_weights": str(tmp_path / "none")}}
    with pytest.raises(UserError, match=r"models\.a\.encoder_weights: there is no file"):
        plan_experiment(config(models=models, compare=["a"]))


@pytest.mark.parametrize(("name", "found"), [("study {1}", "{1}"), ("a<b>c", "<b>"), ("{ a.b , x y}", "{ a.b , x y}")])
def test_a_name_that_snakemake_would_fill_in_is_refused(tmp_path, name, found):
    for study in ("a", "b", name):
        for file in (tmp_path / "masks" / f"{study}_mask.nii.gz", tmp_path / "other" / f"{study}.nii.gz"):
            file.parent.mkdir(exist_ok=True)
            file.touch()
    models = {"a": {"predictions": str(tmp_path / "other")}}
    with pytest.raises(UserError, match=re.escape(f"Snakemake takes {found} in a path")):
        plan_experiment({"dataset": {"root": str(tmp_path)}, "models": models, "compare": ["a"]})


def test_a_slice_to_show_is_of_a_test_study():
    fold = plan_experiment(config()).folds[0]
    plan_experiment(config(figures={"slices": [{"study": fold.test[0], "slice": 3}]}))
    with pytest.raises(UserError, match=f"figures.slices: {fold.train[0]}: not a test .* Choose from {fold.test[0]}"):
        plan_experiment(config(figures={"slices": [{"study": fold.train[0], "slice": 3}]}))


def test_the_papers_numbers_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = plan_experiment(config(reference_results="workflow/report/paper.csv"))
    assert len(read_reference_results(experiment.settings["reference_results"])) == 4
    with pytest.raises(UserError, match=r"models\.b\.encoder_weights: there is no file config\.yaml"):
        plan_experiment(config(models=MODELS | {"b": MODELS["b"] | {"encoder_weights": "config.yaml"}}))


def test_reference_results(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("model,mean_dice,max_dice,note\na,0.5,0.75,x\n")
    assert read_reference_results(str(path)) == [["a", 0.5, 0.75]]
    assert read_reference_results(None) == []
    path.write_text("model,mean_dice\na,0.5\n")
    with pytest.raises(UserError, match="max_dice"):
        read_reference_results(str(path))
    path.write_bytes("model,mean_dice,max_dice\nModèle,0.5,0.75\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"numbers\.csv is not a CSV in UTF-8"):
        read_reference_results(str(path))
