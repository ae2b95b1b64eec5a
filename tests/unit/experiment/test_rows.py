"""Each kind of row answers for itself what the rules and the report ask of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.experiment import digest
from lesionbench.experiment.digest import code_digest
from lesionbench.experiment.rows import Elsewhere, Ensemble, Method, Run, Trained, make_rows
from lesionbench.models.entry import ModelEntry
from lesionbench.models.programs import Program
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.training.recipe import Recipe
from owned import entry_of, write_network
from planned import with_masks

ENTRY = ModelEntry("Unet", "resnet34")
POINT = OperatingPoint(0.4, 20)
EVALUATION = {"threshold": 0.4, "min_component_mm3": 20, "mirroring": False, "precision": "bfloat16"}


def trained(**changes):
    return Trained("net", "A network", POINT, ENTRY, Recipe(**changes))


def with_weights(weights):
    return Trained("net", "A network", POINT, ModelEntry("Unet", "resnet34", weights), Recipe())


def test_a_network_has_a_run_for_each_fold_and_seed():
    runs = trained().runs([0, 1], [3, 1])
    assert runs == [Run("net", 0, 3), Run("net", 0, 1), Run("net", 1, 3), Run("net", 1, 1)]


def test_masks_from_elsewhere_have_a_run_for_each_fold_under_the_first_seed():
    assert Elsewhere("other", "Other", "masks").runs([0, 1], [3, 1]) == [Run("other", 0, 3), Run("other", 1, 3)]


def test_the_masks_of_a_network_lie_where_its_run_says_and_are_not_there_before():
    assert trained().masks(1, 3) == "<results>/predictions/net/fold-1/seed-3"
    assert trained().mask_files(["study_0001"]) == {}


def test_masks_from_elsewhere_lie_in_one_folder_for_all_runs(tmp_path):
    folder = with_masks(tmp_path / "masks", ["study_0001"], "_mask.nii")
    row = Elsewhere("other", "Other", f"{folder}/")
    assert row.masks(0, 0) == row.masks(1, 3) == folder
    files = row.mask_files(["study_0001", "study_0002"])
    assert files["study_0001"] == Path(folder, "study_0001_mask.nii")
    assert not files["study_0002"].exists() and files["study_0002"].parent == Path(folder)


def test_masks_from_elsewhere_are_not_made_here():
    other = Elsewhere("other", "Other", "masks")
    assert trained().made_here and trained().needs_ct
    assert not other.made_here and not other.needs_ct


def test_on_external_sets_each_fold_counts_of_a_network_and_one_run_of_other_rows():
    other = Elsewhere("other", "Other", "masks", {"there": "masks-of-there/"})
    assert trained().external_runs([0, 1], [3]) == [Run("net", 0, 3), Run("net", 1, 3)]
    assert other.external_runs([0, 1], [3]) == [Run("other", 0, 3)]
    assert other.external_masks("there", 0, 3) == "masks-of-there"
    assert trained().external_masks("there", 1, 3) == "<results>/external/there/predictions/net/fold-1/seed-3"


def test_an_ensemble_has_one_run_a_fold_of_all_runs_of_its_members():
    other = Elsewhere("other", "Other", "masks")
    both = Ensemble("both", "Both", POINT, (trained(), other))
    assert both.runs([0, 1], [3, 1]) == [Run("both", 0, 3), Run("both", 1, 3)]
    assert [run for _, run in both.member_runs(1, [3, 1])] == [Run("net", 1, 3), Run("net", 1, 1), Run("other", 1, 3)]
    assert both.needs_ct and not Ensemble("vote", "Vote", POINT, (other,)).needs_ct


def test_on_external_sets_an_ensemble_averages_the_folds_too():
    both = Ensemble("both", "Both", POINT, (trained(),))
    assert both.external_runs([0, 1], [3, 1]) == [Run("both", 0, 3)]
    assert [(run.fold, run.seed) for _, run in both.member_external_runs([0, 1], [3, 1])] == [
        (0, 3),
        (0, 1),
        (1, 3),
        (1, 1),
    ]


def test_an_ensemble_is_tested_on_the_external_sets_of_all_its_members():
    other = Elsewhere("other", "Other", "masks", {"there": "masks-of-there"})
    both = Ensemble("both", "Both", POINT, (trained(), other))
    assert both.is_tested_on("there") and not both.is_tested_on("elsewhere")


@pytest.mark.parametrize(
    ("weights", "files"),
    [("imagenet", ["<resources>/weights/resnet34.safetensors"]), ("own.safetensors", ["own.safetensors"]), (None, [])],
)
def test_encoder_weights_are_a_file_that_is_fetched_or_given_or_none(weights, files):
    assert with_weights(weights).encoder_weights == files


def test_the_code_of_a_training_holds_its_own_loss():
    digests = {loss: code_digest("train", trained(loss=loss).code) for loss in ("dice", "dice_ce")}
    assert digests["dice"] != digests["dice_ce"]


def test_settings_with_an_architecture_are_a_network_to_train():
    recipe = {"learning_rate": 0.01, "loss": "dice_ce"}
    settings = {"architecture": "Unet", "encoder": "resnet34", "encoder_weights": None, "training": recipe}
    further = {"evaluation": EVALUATION | {"mirroring": True}, "preprocessing": {"plane": "axial"}}
    rows = make_rows({"net": settings | further}, ["net"])
    assert rows == {
        "net": Trained("net", "net", POINT, ENTRY, Recipe(**recipe), Preprocessing("axial"), True, "bfloat16")
    }


def test_settings_with_predictions_are_masks_from_elsewhere():
    assert make_rows({"other": {"predictions": "masks"}}, ["other"]) == {"other": Elsewhere("other", "other", "masks")}
    assert make_rows({"other": {"predictions": "masks", "label": "Other"}}, ["other"])["other"].label == "Other"


def test_members_of_an_ensemble_that_are_not_compared_are_rows_too_after_the_others():
    models = {
        "a": {"predictions": "a"},
        "b": {"predictions": "b"},
        "both": {"members": ["a", "b"], "evaluation": EVALUATION},
    }
    rows = make_rows(models, ["both", "b"])
    assert list(rows) == ["both", "b", "a"]
    assert rows["both"] == Ensemble("both", "both", POINT, (rows["a"], rows["b"]))


@pytest.mark.parametrize(("seeded", "seeds"), [(True, [3, 1]), (False, [3])])
def test_a_method_has_a_run_a_seed_only_where_it_draws_at_random(seeded, seeds):
    row = Method("tool", "Tool", POINT, Program(None, ("tool",), seeded=seeded), {})
    assert row.runs([0, 1], [3, 1]) == [Run("tool", fold, seed) for fold in (0, 1) for seed in seeds]
    assert row.external_runs([0, 1], [3, 1]) == row.runs([0, 1], [3, 1])
    assert row.masks(1, 3) == "<results>/predictions/tool/fold-1/seed-3" and row.needs_ct and row.is_tested_on("there")


def test_a_method_computes_where_the_experiment_says_if_it_needs_a_gpu():
    devices = [
        Method("tool", "Tool", POINT, Program(None, ("tool",), gpu=gpu), {}, "cuda:1").device for gpu in (True, False)
    ]
    assert devices == ["cuda:1", "cpu"]


def test_settings_with_a_method_or_a_command_are_an_external_method(tmp_path):
    command = {"command": "tool --x", "options": {"y": 1}, "seeded": False}
    rows = make_rows({"a": {"method": "empty", "options": {}}, "b": command}, ["a", "b"], "cpu")
    assert rows["a"] == Method("a", "a", OperatingPoint(), Program.of({"method": "empty"}), {}, "cpu")
    assert rows["a"].called == {"method": "empty"}
    assert rows["b"].called == {"command": ["tool", "--x"], "seeded": False, "gpu": False}
    assert rows["b"].options == {"y": 1} and Program.of(rows["b"].called) == rows["b"].program


def test_the_code_of_a_command_is_that_of_its_files(tmp_path):
    script, weights = tmp_path / "tool.py", tmp_path / "weights.bin"
    row = Method("tool", "Tool", POINT, Program(None, ("python", str(script), str(weights))), {})
    codes = []
    for code, data in (("x = 1", "a"), ("x = 1  # one", "a"), ("x = 2", "a"), ("x = 2", "b")):
        script.write_text(code)
        weights.write_text(data)
        digest._read.cache_clear()
        digest._read_unit.cache_clear()
        codes.append(row.code)
    assert codes[0] == codes[1] and len(set(codes)) == 3


def test_an_own_networks_code_counts_for_its_training(tmp_path):
    path = write_network(tmp_path)
    own = replace(trained(), entry=entry_of(path))
    assert own.code == ["training.loss:dice_loss", str(path)] and trained().network_code == []
    assert replace(trained(), entry=ModelEntry("monai.networks.nets:UNet")).network_code[0].startswith("monai==")
    other = replace(own, entry=entry_of(write_network(tmp_path / "other", "relu()", "sigmoid()")))
    assert len({code_digest("train", row.code) for row in (own, other, trained())}) == 3
