"""Scans to segment: found in a folder or a table, divided into parts, and kept from those who have seen the patient."""

from itertools import chain
from pathlib import Path

import pytest

from lesionbench.data.split import Fold
from lesionbench.data.studies import DataSet, Study
from lesionbench.errors import UserError
from lesionbench.experiment.collection import Collection
from lesionbench.experiment.plan import plan_experiment
from lesionbench.experiment.rows import Run
from lesionbench.experiment.scan_sets import ScanSet, given_scans, unseen_studies
from planned import MODELS, config, with_masks
from touched import touch

SECTION = {"intensity": "hu", "geometry": None, "series": None, "lesion_labels": None}
FOLDS = [Fold(0, ("a1", "a2"), ("a3",), ("a4",)), Fold(1, ("a3", "a4"), ("a1",), ("a2",))]


def data(*studies):
    return Collection(DataSet("."), {study.name: study for study in studies}, SECTION)


def study(name, category="CT-1", patient=None, ct="ct", mask=None):
    return Study(name, category, ct and Path(f"{name}.nii.gz"), mask, patient)


ANNOTATED = [study(f"a{number}") for number in range(1, 5)]


def parts_of(names, size):
    return ScanSet(DataSet("."), {name: study(name) for name in names}, SECTION, dict.fromkeys(names, (0,)), size).parts


def test_a_study_is_segmented_by_the_folds_that_have_not_seen_its_patient():
    others = [study("b1", "CT-0"), study("b2", patient="a4"), study("b3", None), study("b4", ct=None), study("b5", "x")]
    found = unseen_studies(data(*ANNOTATED, *others), FOLDS, 10)
    assert found.folds == {"a2": (1,), "a4": (0,), "b1": (0, 1), "b2": (0,)}
    assert found.parts == {"part-0": ["b1"], "part-of-fold-1-0": ["a2"], "part-of-fold-0-0": ["a4", "b2"]}
    assert found.part_folds("part-of-fold-0-0") == (0,) and found.part_scans("part-0") == ["b1.nii.gz"]
    assert found.classes == {"a2": "CT-1", "a4": "CT-1", "b1": "CT-0", "b2": "CT-1"} and found.patients["b2"] == "a4"


def test_labels_of_masks_and_the_series_of_one_scan_decide_nothing_of_the_others():
    section = SECTION | {"lesion_labels": [1, 2], "series": "Lung*"}
    studies = [study("b1", "CT-0"), Study("b2", "CT-1", Path("b2"), None, series="Thin*")]
    found = unseen_studies(
        Collection(DataSet("."), {each.name: each for each in studies}, section), [Fold(0, (), (), ())], 9
    )
    assert found.reading() == SECTION and found.part_series("part-0") == [["b1", "Lung*"], ["b2", "Thin*"]]


def test_studies_without_classes_to_compare_are_refused():
    with pytest.raises(UserError, match=r"severity: no study .* CT-3 and CT-4; its classes are: x\. Give them"):
        unseen_studies(data(study("b1", "x"), study("b2", None)), [], 10)
    with pytest.raises(UserError, match=r"severity: of the 6 studies .* are all of CT-1"):
        unseen_studies(data(*ANNOTATED, study("b1"), study("b2", "CT-2", patient="a1")), FOLDS[:1], 10)


def test_a_part_holds_about_the_size_asked_for_and_a_new_study_changes_one_part():
    names = [f"study_{number:04d}" for number in range(1000)]
    parts = parts_of(names, 25)
    assert len(parts) == 64 and max(map(len, parts.values())) < 40 and sorted(chain(*parts.values())) == names
    more = parts_of([*names, "study_1000"], 25)
    assert [part for part in more if more[part] != parts.get(part)] == [
        next(part for part in more if "study_1000" in more[part])
    ]
    assert parts_of(names[:25], 25) == {"part-0": names[:25]}


def test_a_folder_is_searched_for_scans_of_all_formats(tmp_path):
    for name in ("a/ct.nii.gz", "b/ct.nii.gz", "c.mha", "d/.hidden.nii.gz", "notes.txt", ".git/x.nii.gz"):
        touch(tmp_path, name)
    for name in ("patient_7/1.dcm", "patient_7/2.dcm"):
        touch(tmp_path, name)
    found = given_scans(str(tmp_path), SECTION, [0, 2], 10)
    assert {name: Path(found.ct(name)).relative_to(tmp_path).as_posix() for name in found.studies} == {
        "c": "c.mha", "a_ct": "a/ct.nii.gz", "b_ct": "b/ct.nii.gz", "patient_7": "patient_7"
    }  # fmt: skip
    assert found.part_folds("part-0") == (0, 2) and not found.is_made_here
    (tmp_path / "lost.nii.gz").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"segment\.scans: 1 of the links"):
        given_scans(str(tmp_path), SECTION, [0], 10)


def test_a_table_names_scans_below_its_folder_and_their_series(tmp_path):
    touch(tmp_path, "new/x.nii.gz")
    touch(tmp_path, "pacs/1.dcm")
    table = tmp_path / "scans.csv"
    table.write_text("study,ct,series\nfirst,new/x.nii.gz,\nsecond,pacs,Lung*\n")
    found = given_scans(str(table), SECTION, [0], 10)
    assert found.scans == [f"{tmp_path}/new/x.nii.gz", f"{tmp_path}/pacs"]
    assert found.part_series("part-0") == [["first", None], ["second", "Lung*"]]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("study,ct\nx,lost.nii.gz\n", r"segment\.scans: .*study 'x': its ct is not there"),
        ("study,ct\nx,\n", r"segment\.scans: .*no ct is given for x"),
        ("study\nx\n", r"segment\.scans: .*it names no CTs|no ct is given"),
        ("name,ct\nx,y\n", r"segment\.scans: .*needs the column study"),
        (None, r"segment\.scans: there is no file"),
    ],
)
def test_a_wrong_table_is_refused(lines, said, tmp_path):
    if lines:
        (tmp_path / "scans.csv").write_text(lines)
    with pytest.raises(UserError, match=said):
        given_scans(str(tmp_path / "scans.csv"), SECTION, [0], 10)


def test_a_folder_without_scans_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"segment\.scans: there is no scan below"):
        given_scans(str(tmp_path), SECTION, [0], 10)


def test_networks_and_ensembles_of_them_segment_and_other_rows_do_not(tmp_path):
    own = with_masks(tmp_path / "own", [f"study_{number:04d}" for number in range(1, 11)])
    models = MODELS | {
        "tool": {"predictions": own}, "both": {"members": ["a", "b"]}, "mixed": {"members": ["a", "tool"]}
    }  # fmt: skip
    plan = {"models": models, "compare": ["a", "both", "mixed", "tool"], "seeds": [0, 1]}
    plan["split"] = {"protocol": "cross-validation", "folds": 2}
    experiment = plan_experiment(config(**plan))
    assert experiment.segmenting_labels == {"a": "Model A", "both": "both"}
    severity = experiment.severity
    assert len(severity.studies) == 12 and len(severity.parts) == 3
    runs = [run for _, run in experiment.segmenting_runs("both", "severity", "part-0")]
    assert runs == [Run(model, fold, seed) for model in "ab" for fold in (0, 1) for seed in (0, 1)]
    runs = [run for _, run in experiment.segmenting_runs("a", "severity", "part-of-fold-1-0")]
    assert runs == [Run("a", 1, 0), Run("a", 1, 1)]
    plan["segment"] = {"models": ["both"]}
    assert list(plan_experiment(config(**plan)).segmenting) == ["both"]
    for wrong, said in (("tool", "tool has no network"), ("b", "b is not in `compare`")):
        with pytest.raises(UserError, match=rf"segment\.models: {said}.*\n  segment: {{models: \[a, both\]}}"):
            plan_experiment(config(**plan | {"segment": {"models": [wrong]}}))


def test_without_a_network_there_is_nothing_to_segment_with(tmp_path):
    own = with_masks(tmp_path / "own", [f"study_{number:04d}" for number in range(1, 11)])
    plan = {"models": {"tool": {"predictions": own}}, "compare": ["tool"]}
    with pytest.raises(UserError, match=r"severity: none of the compared models"):
        plan_experiment(config(**plan)).severity  # noqa: B018
    with pytest.raises(UserError, match=r"segment\.scans: no model of `compare`"):
        plan_experiment(config(**plan, segment={"scans": "somewhere"}))
