"""Each kind of row answers for itself what the rules and the report ask of it."""

from pathlib import Path

import pytest

from lesionbench.experiment.digest import code_digest
from lesionbench.experiment.rows import Elsewhere, Run, Trained, make_row
from lesionbench.models.entry import ModelEntry
from lesionbench.training.recipe import Recipe
from planned import with_masks

ENTRY = ModelEntry("Unet", "resnet34")


def trained(**changes):
    return Trained("net", "A network", ENTRY, Recipe(**changes))


def with_weights(weights):
    return Trained("net", "A network", ModelEntry("Unet", "resnet34", weights), Recipe())


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


def test_only_a_network_is_trained():
    assert trained().trained and not Elsewhere("other", "Other", "masks").trained


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
    row = make_row("net", settings | {"evaluation": {"mirroring": True}})
    assert row == Trained("net", "net", ENTRY, Recipe(**recipe), mirroring=True)


def test_settings_with_predictions_are_masks_from_elsewhere():
    assert make_row("other", {"predictions": "masks"}) == Elsewhere("other", "other", "masks")
    assert make_row("other", {"predictions": "masks", "label": "Other"}).label == "Other"
