import pytest

from lesionbench.errors import UserError
from lesionbench.segmentation.runs import find_runs


@pytest.fixture
def models(tmp_path):
    """The folder of a model with two folds and two seeds, beside another model."""
    for name in ("unet/fold-0/seed-0", "unet/fold-0/seed-1", "unet/fold-1/seed-0", "other/fold-0/seed-0"):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    return tmp_path / "models"


def test_a_models_folder_is_all_its_runs_and_a_folds_folder_those_of_its_seeds(models):
    unet = models / "unet"
    assert find_runs([unet]) == [unet / "fold-0/seed-0", unet / "fold-0/seed-1", unet / "fold-1/seed-0"]
    assert find_runs([unet / "fold-0"]) == [unet / "fold-0/seed-0", unet / "fold-0/seed-1"]
    assert find_runs([unet / "fold-1/seed-0"]) == [unet / "fold-1/seed-0"]


def test_a_run_that_is_given_twice_counts_once(models):
    unet = models / "unet"
    found = find_runs([unet / "fold-0/seed-0", unet, models / "other", unet / "fold-0" / ".." / "fold-0"])
    assert len(found) == 4 and found[-1] == models / "other/fold-0/seed-0"


def test_runs_of_several_models_are_never_mixed_unasked(models):
    assert find_runs([models]) == [models]  # whose loading says which runs lie below


def test_what_is_no_folder_is_called_what_it_is(models):
    with pytest.raises(UserError, match="none: no such folder"):
        find_runs([models / "none"])
    with pytest.raises(UserError, match="this is a file"):
        find_runs([models / "unet/fold-0/seed-0/run.json"])
