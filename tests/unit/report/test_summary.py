"""The summary says what the tables say, names what made it, and can be repeated from what it shows."""

import hashlib
import html
import json
import re
from dataclasses import asdict

import pandas as pd
import pytest
import yaml

from lesionbench import environment
from lesionbench.data.frames import read_frame, write_frame
from lesionbench.experiment.config import resolve_config
from lesionbench.report.comparison_tables import make_tables
from lesionbench.report.subset_table import PAPER_PLANE, slices_by_subset
from lesionbench.report.summary import describe_answer, describe_data, read_provenance, render_summary
from lesionbench.report.tables import write_table
from scored import LABELS, compared
from tiny import MODEL, PREPROCESSING, RECIPE

CONFIG = {
    "dataset": {"root": "data/COVID19_1110", "target": "tumours"},
    "preprocessing": {"plane": "coronal"},
    "seeds": [0, 1],
    "training": {"learning_rate": 1e-5},
    "models": {
        "unet": {"label": "U-Net", "architecture": "classic-unet"},
        "unet_vgg19": {"label": "U-Net with VGG19 encoder", "architecture": "Unet", "encoder": "vgg19"},
    },
    "compare": list(LABELS),
    "reference_results": "workflow/report/paper.csv",
}
TRAININGS = [[model, 0, seed] for model in LABELS for seed in (0, 1)]


@pytest.fixture
def results(tmp_path):
    """The inventory, the folds, the slices and the trainings of an experiment."""
    names = [f"study_{number:04d}" for number in range(50)]
    annotated = pd.DataFrame({"study": names, "mask": [f"masks/{name}_mask.nii.gz" for name in names]})
    studies = pd.concat([annotated, pd.DataFrame({"study": ["study_1110"]})]).assign(
        axial_slices=41,
        coronal_slices=512,
        sagittal_slices=512,
        lesion_slices=9,
        ct_sha256="c" * 64,
        mask_sha256="a" * 64,
    )
    studies.to_csv(tmp_path / "studies.csv", index=False)
    subsets = ["test"] * 10 + ["validation"] * 5 + ["train"] * 35
    folds = [pd.DataFrame({"study": names[start:] + names[:start], "subset": subsets}) for start in (0, 10)]
    for number, fold in enumerate(folds):
        fold.to_csv(tmp_path / f"fold-{number}.csv", index=False)
    write_table(slices_by_subset(studies, {0: folds[0]}, "coronal"), [tmp_path / "slices.csv"])
    for number in range(len(TRAININGS)):
        write_training(tmp_path, number)
    return tmp_path


def write_training(folder, number, commit="0123abcd"):
    record = {
        "model": asdict(MODEL),
        "training": asdict(RECIPE),
        "preprocessing": asdict(PREPROCESSING),
        "inputs_sha256": {"train": {"study_0020": "5" * 64}, "validation": {}},
        "encoder_weights_sha256": None,
        "epochs": 31,
        "best_epoch": 26,
        "device": {"type": "cuda", "name": "A GPU"},
        "environment": environment.environment() | {"git_commit": commit},
    }
    (folder / f"{number}.json").write_text(json.dumps(record))
    (folder / f"{number}.safetensors").write_bytes(bytes(number))


def sections(results, config=CONFIG, trainings=TRAININGS, folds=1, elsewhere=None):
    files = [results / f"{number}.json" for number in range(len(trainings))]
    return {
        "config": resolve_config(config),
        "labels": LABELS,
        "name": "Our set",
        "elsewhere": elsewhere or {},
        "answer": describe_answer(compared()),
        "data": describe_data(
            results / "studies.csv", results / "slices.csv", [results / f"fold-{number}.csv" for number in range(folds)]
        ),
        "provenance": read_provenance(trainings, files, [file.with_suffix(".safetensors") for file in files], LABELS),
    }


def as_text(page):
    """The words of a page, without its style."""
    return " ".join(html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)).split())


def test_the_conclusion_is_that_of_the_tables_word_by_word():
    table, answer = make_tables(compared())["comparison"], describe_answer(compared())
    assert (*answer["conclusions"], *answer["notes"]) == table.notes
    pd.testing.assert_frame_equal(answer["table"], table.shown)


def test_the_page_tells_the_data_and_the_paper_s_plane(results):
    text = as_text(render_summary(**sections(results)))
    assert "How well do U-Net and U-Net with VGG19 encoder find tumours on chest CT" in text
    assert "Segmentation of tumours on chest CT: Our set" in text
    assert "51 studies of Our set, 50 of them with a lesion mask, in coronal slices." in text
    assert "35 studies (17,920 slices) for training, 5 studies (2,560 slices) for validation" in text
    assert "10 studies (5,120 slices) for the test." in text
    assert "trained with 2 seeds" in text and PAPER_PLANE in text and "synthetic" not in text


def test_synthetic_studies_are_called_so_and_compared_with_no_paper(results):
    config = CONFIG | {"dataset": {"phantom": {}, "target": "tumours"}, "reference_results": None}
    text = as_text(render_summary(**sections(results, config)))
    assert "The studies are synthetic." in text and "The paper says" not in text


def test_a_cross_validation_tells_in_which_fold_a_study_was_tested(results):
    found = sections(results, folds=2)
    assert "Cross-validation in 2 folds: 10 studies are tested" in as_text(render_summary(**found))
    tested_in = found["data"]["files"].set_index("Study")["Tested in fold"]
    assert len(tested_in) == 20 and tested_in["study_0000"] == "0" and tested_in["study_0019"] == "1"


def test_trainings_are_told_by_their_hashes(results):
    trainings = sections(results)["provenance"]["trainings"]
    expected = [hashlib.sha256(bytes(number)).hexdigest()[:16] for number in range(len(TRAININGS))]
    assert trainings["Trained weights"].tolist() == expected
    assert trainings["Slices"].nunique() == 1 and set(trainings["Encoder weights"]) == {"–"}
    assert trainings["Seed"].tolist() == ["0", "1", "0", "1"] and set(trainings["Device"]) == {"A GPU"}


def test_trainings_of_two_commits_are_told_apart(results):
    write_training(results, 2, commit="4567-dirty")
    found = sections(results)["provenance"]
    versions = found["versions"].set_index("")
    assert versions.columns.tolist() == ["Trainings 1", "Trainings 2", "Comparison"]
    assert versions.loc["Commit"].tolist()[:2] == ["0123abcd", "4567-dirty"]
    assert found["trainings"]["Versions"].tolist() == ["1", "1", "2", "1"]


def test_masks_from_elsewhere_have_no_training(results):
    models = {model: {"label": label, "predictions": f"other/{model}"} for model, label in LABELS.items()}
    folders = {label: f"other/{model}" for model, label in LABELS.items()}
    found = sections(results, CONFIG | {"models": models}, trainings=[], elsewhere=folders)
    text = as_text(render_summary(**found))
    assert "U-Net: masks made elsewhere, from other/unet ." in text and "Trained weights" not in text
    assert "All models are judged on 10 of them." in text and "seeds, whose" not in text and "for training" not in text
    assert found["provenance"]["versions"].columns.tolist() == ["", "Comparison"]


def test_the_configuration_on_the_page_is_the_experiment(results):
    page = render_summary(**sections(results))
    shown = html.unescape(re.findall(r"<pre>(.*?)</pre>", page, flags=re.DOTALL)[-1])
    assert resolve_config(yaml.safe_load(shown)) == resolve_config(CONFIG)


def test_the_page_asks_for_nothing_from_elsewhere(results):
    page = render_summary(**sections(results))
    assert not re.search(r"\b(src|href)=|url\(|@import|<script", page)


def test_the_page_tells_how_many_patients_there_are_where_they_are_known(results):
    studies = read_frame(results / "studies.csv")
    write_frame(studies.assign(patient=["p", "p", *[""] * (len(studies) - 2)]), results / "studies.csv")
    text = as_text(render_summary(**sections(results)))
    assert (
        "51 studies of Our set (50 patients), 50 of them with a lesion mask" in text
        and "No patient is in two of these" in text
    )
