from pathlib import Path

import pytest

from lesionbench.experiment.plan import plan_experiment, planned
from lesionbench.experiment.rows import Run
from planned import MODELS, config, with_masks, with_methods
from touched import touch


def test_the_test_share_is_of_the_studies_that_train():
    experiment = plan_experiment(config(split={"protocol": "cross-validation", "folds": 2}))
    shares = [len(fold.test) / len(fold.train) for fold in experiment.folds.values()]
    assert len(shares) == 2 and min(shares) <= experiment.test_share <= max(shares)


@pytest.mark.parametrize(
    ("ratio", "ranks"),
    [([7, 1, 2], ["worst", "best"]), ([8, 1, 1], ["only"]), ([4, 1, 5], ["worst", "median", "best"])],
)
def test_as_many_studies_are_viewed_as_there_are_up_to_three(ratio, ranks):
    assert plan_experiment(config(split={"ratio": ratio})).viewed == ranks
    assert plan_experiment(config(split={"ratio": ratio}, figures={"viewer": False})).viewed == []


def test_the_phantom_is_planned_without_writing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = plan_experiment(config())
    assert len(experiment.studies) == 12 and len(experiment.annotated) == 10
    fold = experiment.folds[0]
    assert sorted([*fold.train, *fold.validation, *fold.test]) == experiment.annotated
    assert not list(tmp_path.iterdir())


def test_masks_from_elsewhere_are_one_run_a_fold_and_need_no_ct(tmp_path):
    studies = [f"study_{number:04d}" for number in range(6)]
    with_masks(tmp_path / "masks", studies, "_mask.nii.gz")
    other = with_masks(tmp_path / "other", studies)
    split = {"protocol": "cross-validation", "folds": 2}
    experiment = plan_experiment(
        config(
            dataset={"root": str(tmp_path)},
            models={**MODELS, "other": {"predictions": f"{other}/"}},
            compare=["other"],
            split=split,
            seeds=[3, 1],
        )
    )
    assert experiment.runs == [Run("other", 0, 3), Run("other", 1, 3)]
    assert not experiment.networks and not experiment.trainings
    assert experiment.rows["other"].masks(0, 3) == other
    tested = [path for fold in experiment.folds for path in experiment.masks_from_elsewhere("other", fold)]
    assert sorted(tested) == [f"{other}/{study}.nii.gz" for study in studies]


def test_masks_from_elsewhere_stand_among_trained_models(tmp_path):
    other = with_masks(tmp_path / "other", [f"study_{number:04d}" for number in range(1, 13)], "_mask.nii.gz")
    experiment = plan_experiment(
        config(models={**MODELS, "other": {"predictions": other}}, compare=["b", "other", "a"], seeds=[0, 1])
    )
    assert experiment.runs == [Run("b", 0, 0), Run("b", 0, 1), Run("other", 0, 0), Run("a", 0, 0), Run("a", 0, 1)]
    assert experiment.trainings == [run for run in experiment.runs if run.model != "other"]
    assert experiment.masks_from_elsewhere("a", 0) == []
    assert [Path(path).name for path in experiment.masks_from_elsewhere("other", 0)] == [
        f"{study}_mask.nii.gz" for study in experiment.folds[0].test
    ]


@pytest.mark.parametrize("suffix", [".nii", "_mask.NII.GZ"])
def test_masks_from_elsewhere_may_have_any_suffix_that_is_read(tmp_path, suffix):
    other = with_masks(tmp_path / "other", [f"study_{number:04d}" for number in range(1, 13)], suffix)
    experiment = plan_experiment(config(models={**MODELS, "other": {"predictions": other}}, compare=["other"]))
    assert experiment.masks_from_elsewhere("other", 0) == [
        f"{other}/{study}{suffix}" for study in experiment.folds[0].test
    ]


def test_a_method_of_the_plan_takes_what_its_parameters_name_from_the_wildcards():
    experiment = plan_experiment(config())
    tested = planned(experiment.tested)
    assert tested({"fold": "0", "model": "a"}) == experiment.tested(0) != []


def test_a_patients_studies_are_in_one_part_and_told_to_the_inventory(tmp_path):
    touch(tmp_path, *(f"{kind}/p{number // 2}/{number}.nii" for kind in ("ct", "masks") for number in range(10)))
    data = {"root": str(tmp_path), "ct": "ct/{patient}/{study}.nii", "mask": "masks/{patient}/{study}.nii"}
    experiment = plan_experiment(config(dataset=data, compare=["a"]))
    assert experiment.patients == {f"p{number // 2}_{number}": f"p{number // 2}" for number in range(10)}
    for part in experiment.subsets(0).values():
        assert len(part) == 2 * len({experiment.patients[study] for study in part})
    assert experiment.listing[0] == ["p0_0", None, "p0", None, None, True, True]
    assert experiment.registry is None and experiment.categories == []


def test_the_table_may_choose_the_series_of_a_study(tmp_path):
    touch(tmp_path, *(f"{name}.nii" for name in "abcdef"))
    rows = ["study,ct,mask,series", "1,a.nii,d.nii,lung", "2,b.nii,e.nii,", "3,c.nii,f.nii,"]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    data = {"root": str(tmp_path), "table": str(tmp_path / "table.csv"), "series": "CHEST*"}
    experiment = plan_experiment(config(dataset=data, compare=["a"]))
    assert [experiment.study_reading(study)["series"] for study in "123"] == ["lung", "CHEST*", "CHEST*"]
    assert experiment.categories == []


def test_a_method_is_given_all_studies_and_the_masks_of_those_to_learn_from():
    experiment = plan_experiment(with_methods(tool={"command": "tool"}, nothing={"method": "empty"}))
    handed = experiment.handed_studies(0)
    subsets = [subset for _, subset, _ in handed]
    assert [study for study, _, _ in handed] == [study for part in experiment.subsets(0).values() for study in part]
    assert len(experiment.handed_scans(0)) == len(handed) == 10
    learned = [study for study, subset, _ in handed if subset != "test"]
    assert [Path(path).name for path in experiment.handed_masks(0)] == [f"{study}_mask.nii.gz" for study in learned]
    assert subsets.count("test") == 2
    assert experiment.method_runs == [Run("tool", 0, 3), Run("tool", 0, 1), Run("nothing", 0, 3)]


def test_a_method_sees_the_scans_of_external_sets_under_their_names(tmp_path):
    touch(tmp_path, "ct/x.nii.gz", "masks/x.nii.gz")
    external = {"there": {"root": str(tmp_path), "ct": "ct/{study}.nii.gz", "mask": "masks/{study}.nii.gz"}}
    external["there"]["lesion_labels"] = [3]
    experiment = plan_experiment(config(models={"a": {"method": "empty"}}, compare=["a"], external=external))
    study, subset, reading = experiment.handed_studies(0)[-1]
    assert (study, subset) == ("x", "external/there") and reading["lesion_labels"] is None
    assert experiment.handed_scans(0)[-1] == f"{tmp_path}/ct/x.nii.gz"
    assert not any(str(tmp_path) in path for path in experiment.handed_masks(0))


def test_captions_name_the_seeds_of_methods_that_draw_at_random():
    assert (
        "averaged over 2 seeds"
        in plan_experiment(config(models={"tool": {"command": "tool"}}, compare=["tool"], seeds=[3, 1])).test_studies()
    )
    nothing = plan_experiment(config(models={"nothing": {"method": "empty"}}, compare=["nothing"], seeds=[3, 1]))
    assert nothing.test_studies() == "2 test studies" and nothing.shown_studies("nothing") == "2 test studies"


def test_a_data_set_has_the_name_that_it_is_given_or_that_its_layout_says(tmp_path):
    touch(tmp_path / "ours", *(f"ct/{study}.nii.gz" for study in "123"), *(f"masks/{study}.nii.gz" for study in "123"))
    ours = {"root": str(tmp_path / "ours"), "ct": "ct/{study}.nii.gz", "mask": "masks/{study}.nii.gz"}
    mosmed = tmp_path / "set"
    touch(mosmed, *(f"studies/CT-1/study_{number}.nii.gz" for number in "123"))
    touch(mosmed, *(f"masks/study_{number}_mask.nii.gz" for number in "123"))
    named = [ours, {**ours, "label": "Our hospital"}, {"root": str(mosmed)}, {"phantom": {"studies": 12}}]
    labels = [plan_experiment(config(dataset=data)).dataset_label for data in named]
    assert labels == ["ours", "Our hospital", "MosMedData", "synthetic scans"]
