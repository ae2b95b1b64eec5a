"""A test study of finished results is shown with what the results say of it."""

import shutil

import pytest

from lesionbench.capsule.tested_study import tested_study as show
from lesionbench.data.frames import read_frame
from lesionbench.errors import UserError
from lesionbench.report.viewer import render_viewer
from viewed import rows


@pytest.mark.parametrize("study", ["study_0001", "study_0004"])
def test_reference_and_all_models_are_shown_with_the_dice_of_the_tables(made, study):
    shown = show(made.results, study)
    assert shown.title == study and shown.reference.data.sum() > 0
    table = read_frame(made.results / "tables" / "per_study.csv").set_index("study")
    expected = [(model, f"{table.loc[study, model]:.2f}") for model in ("near", "far")]
    assert [(name, dice) for name, dice, _ in rows(render_viewer(shown))[1:]] == expected


def test_the_fold_of_the_masks_is_said_where_there_are_several(made):
    assert show(made.results, "study_0001").notes[-1].startswith("Masks of fold ")


def test_a_study_of_an_external_set_is_found_too(made):
    shown = show(made.results, "case 1 & more")
    assert shown.notes[0] == "External set: other." and len(shown.masks) == 2


def test_a_data_set_that_was_moved_is_asked_for(made, tmp_path):
    shutil.copytree(made.results, tmp_path / "results")
    config = tmp_path / "results" / "config.json"
    config.write_text(config.read_text().replace(str(made.roots[""]), "gone"))
    with pytest.raises(UserError, match=r"gone/studies/CT-1/study_0001.nii.gz: no such file. --dataset FOLDER says"):
        show(tmp_path / "results", "study_0001")
    assert show(tmp_path / "results", "study_0001", made.roots[""]).title == "study_0001"


def test_a_name_that_no_test_study_has_is_refused_with_those_that_there_are(made):
    with pytest.raises(UserError, match=r"study_9: no file is called so, and no test study of .* Choose from case 0"):
        show(made.results, "study_9")
