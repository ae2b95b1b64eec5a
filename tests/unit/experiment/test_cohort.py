"""External sets: found by name, tested on by every row that can, and refused where a model may know their studies."""

from pathlib import Path

import pytest

from lesionbench.errors import UserError
from lesionbench.experiment.plan import plan_experiment
from planned import MODELS, config, with_masks


@pytest.fixture
def root(tmp_path):
    """A set in another layout, of three studies: one without a mask."""
    for folder, names in {"ct": ["x1", "x2", "x3"], "lesion": ["x1", "x2"]}.items():
        with_masks(tmp_path / folder, names)
    return tmp_path


def external(folder, **changes):
    section = {"root": str(folder), "ct": "ct/{study}.nii.gz", "mask": "lesion/{study}.nii.gz"} | changes
    return plan_experiment(config(external={"out": section})).external["out"]


def test_a_set_is_its_studies_with_a_mask_and_all_its_keys_have_their_defaults(root):
    cohort = external(root)
    assert cohort.names == ["x1", "x2"] and cohort.label == "out"
    assert cohort.scans == [f"{root}/ct/x1.nii.gz", f"{root}/ct/x2.nii.gz"]
    assert cohort.masks == [f"{root}/lesion/x1.nii.gz", f"{root}/lesion/x2.nii.gz"]
    own = plan_experiment(config()).settings["dataset"]
    assert cohort.mask_reading == {key: own[key] for key in ("lesion_labels", "geometry")}
    assert cohort.words == "2 studies of the external set out" and list(cohort.rows) == ["b", "a"]
    assert cohort.rows["a"].external_masks("out", 1, 0) == "<results>/external/out/predictions/a/fold-1/seed-0"


def test_each_network_of_a_cross_validation_is_tested_and_stands_for_a_training(root):
    section = {"root": str(root), "ct": "ct/{study}.nii.gz", "mask": "lesion/{study}.nii.gz"}
    split = {"protocol": "cross-validation", "folds": 2}
    experiment = plan_experiment(config(external={"out": section}, split=split, seeds=[3, 1]))
    assert [run[1:] for run in experiment.external_runs("out") if run.model == "a"] == [(0, 3), (0, 1), (1, 3), (1, 1)]
    assert [row for row in experiment.external_trainings("out") if row[0] == "a"] == [["a", 0, n] for n in range(4)]


def test_masks_from_elsewhere_are_compared_on_the_sets_that_they_cover(root, tmp_path):
    (tmp_path / "tool").mkdir()
    own = with_masks(tmp_path / "tool" / "own", [f"study_{number:04d}" for number in range(1, 11)])
    models = MODELS | {"tool": {"predictions": own}}
    section = {"root": str(root), "ct": "ct/{study}.nii.gz", "mask": "lesion/{study}.nii.gz"}
    plan = {"models": models, "compare": ["a", "tool"], "external": {"out": section}}
    assert list(plan_experiment(config(**plan)).external["out"].rows) == ["a"]
    models["tool"]["external_predictions"] = {"out": with_masks(tmp_path / "tool" / "out", ["x1", "x2"])}
    cohort = plan_experiment(config(**plan)).external["out"]
    assert list(cohort.rows) == ["a", "tool"] and cohort.rows["tool"].external_masks("out", 0, 0) == str(
        tmp_path / "tool" / "out"
    )
    Path(tmp_path, "tool/out/x2.nii.gz").unlink()
    with pytest.raises(UserError, match=r"external_predictions\.out: 1 of 2 studies have no mask there \(x2\)"):
        plan_experiment(config(**plan))
    models["tool"]["external_predictions"] = {"elsewhere": own}
    with pytest.raises(UserError, match=r"external_predictions: elsewhere: there is no such set in `external`.*out"):
        plan_experiment(config(**plan))


def test_a_set_without_ct_is_refused_where_a_network_is_to_predict_it(root):
    Path(root, "ct/x2.nii.gz").unlink()
    with pytest.raises(UserError, match=r"external\.out: 1 of 2 masks have no CT below .*\(x2\)"):
        external(root)


def test_a_set_without_masks_is_refused(root):
    with pytest.raises(UserError, match=r"external\.out: no study below .* has a lesion mask"):
        external(root, mask=None)


@pytest.mark.parametrize("mistake", [{"ct": "ct/{sudy}.nii.gz"}, {"ct": "nothing/{study}.nii.gz"}, {"root": "nowhere"}])
def test_mistakes_in_a_set_name_its_key(root, mistake):
    with pytest.raises(UserError, match=r"external\.out\.(ct|root)"):
        external(root, **mistake)


def test_two_sets_of_one_label_are_refused(root):
    section = {"root": str(root), "ct": "ct/{study}.nii.gz", "mask": "lesion/{study}.nii.gz", "label": "Out"}
    with pytest.raises(UserError, match=r"external\.two\.label: tables and figures call one Out as well"):
        plan_experiment(config(external={"one": section, "two": section}))


@pytest.mark.parametrize("label", [" ", "a\x07", "</script>"])
def test_a_label_that_no_page_can_show_is_refused_as_that_of_a_model_is(root, label):
    with pytest.raises(UserError, match=r"external\.out\.label"):
        external(root, label=label)


def test_studies_called_as_those_of_the_data_set_stop_unless_they_are_said_to_be_others(tmp_path):
    for folder in ("ct", "lesion"):
        with_masks(tmp_path / folder, ["study_0001", "x"])
    with pytest.raises(UserError, match=r"external\.out: 1 of its 2 studies .*\(study_0001\)(?s:.*)same_names: true"):
        external(tmp_path)
    assert external(tmp_path, same_names=True).names == ["study_0001", "x"]


def test_a_file_of_the_data_set_is_refused_in_a_set_whatever_it_is_called(tmp_path):
    for folder in ("studies/CT-1", "masks"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(5):
        (tmp_path / f"studies/CT-1/s{number}.nii.gz").touch()
        (tmp_path / f"masks/s{number}_mask.nii.gz").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "new_ct.nii.gz").symlink_to(tmp_path / "studies/CT-1/s3.nii.gz")
    (tmp_path / "out" / "new_seg.nii.gz").touch()
    section = {
        "root": str(tmp_path / "out"),
        "ct": "{study}_ct.nii.gz",
        "mask": "{study}_seg.nii.gz",
        "same_names": True,
    }
    with pytest.raises(UserError, match=r"external\.out: .*new_ct\.nii\.gz is a file of the data set.*\(study s3\)"):
        plan_experiment(config(dataset={"root": str(tmp_path)}, external={"out": section}))
