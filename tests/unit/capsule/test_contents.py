"""What results are of is read from the results alone, and what is missing is named."""

import json
import shutil

import pytest

from lesionbench.capsule.contents import CONFIG, files_of, read_finished
from lesionbench.errors import UserError


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made.results, tmp_path / "results")


def test_the_experiment_is_read_without_any_data_set(copy):
    experiment = read_finished(copy).experiment
    assert list(experiment.labels) == ["near", "far"] and len(experiment.folds) == 3
    assert sorted(study for fold in experiment.folds for study in experiment.tested(fold)) == experiment.annotated
    assert experiment.external["other"].names == [f"case {number} & more" for number in range(3)]


def test_all_masks_of_all_sets_are_named_as_their_studies(made):
    files = files_of(read_finished(made.results))
    masks = [name for name in files if "predictions/" in name]
    assert len(masks) == 2 * (7 + 3)
    assert "external/other/predictions/far/fold-0/seed-0/case 1 & more.nii" in masks
    assert files["external/other/predictions/far/fold-0/seed-0/case 1 & more.nii"].name == "case 1 & more_mask.nii"


def test_what_is_missing_is_named(copy):
    (copy / "metrics" / "far" / "fold-1" / "seed-0" / "slices.csv").unlink()
    with pytest.raises(UserError, match=r"far/fold-1/seed-0/slices.csv is missing: the results are not finished"):
        files_of(read_finished(copy))


def test_a_folder_that_holds_no_results_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"config.json is missing. Give the folder of finished results"):
        read_finished(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"config": {}}', "[" * 100_000])
def test_a_damaged_configuration_is_refused(copy, content):
    (copy / CONFIG).write_text(content)
    with pytest.raises(UserError, match=r"config.json: cannot be read"):
        read_finished(copy)


def test_a_configuration_is_checked_as_a_users_is(copy):
    content = json.loads((copy / CONFIG).read_text())
    content["config"]["evaluation"]["resamples"] = 10**9
    (copy / CONFIG).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"evaluation\.resamples: 1000000000 is greater than the maximum of 1000000"):
        read_finished(copy)


def test_a_split_of_the_users_own_is_read_and_checked(copy):
    content = json.loads((copy / CONFIG).read_text())
    content["config"]["split"]["file"] = "my-split.csv"
    (copy / CONFIG).write_text(json.dumps(content))
    assert len(read_finished(copy).experiment.folds) == 3
    fold = copy / "splits" / "fold-0.csv"
    fold.write_text(fold.read_text() + "study_0001,test\n")
    with pytest.raises(UserError, match="more than once"):
        read_finished(copy)
