"""The table of probabilities shows every score, and says what it was taken over."""

import pandas as pd

from drawn import calibration_of
from lesionbench.evaluation.calibration import calibration_scores
from lesionbench.evaluation.scoring import Scoring
from lesionbench.report.calibration_table import calibration_table
from scored import LABELS

SCORES = calibration_scores(*calibration_of(LABELS), {})


def table_of(*around, scores=SCORES):
    boxes = pd.DataFrame({"study": [str(number) for number in range(len(around))], "around": around})
    return calibration_table(scores, LABELS, boxes, Scoring(min_lesion_mm3=20))


def test_a_row_a_model_shows_each_score():
    table = table_of("lungs")
    assert table.data["label"].tolist() == table.shown["Model"].tolist() == list(LABELS.values())
    assert list(table.data.columns) == ["model", "label", *SCORES.columns[1:]]
    assert table.shown["Best Dice"].tolist() == [f"{value:.3f}" for value in SCORES["best_dice"]]
    assert "at least 20 mm³" in table.notes[1]


def test_studies_whose_lungs_were_not_found_are_counted():
    assert "found in 2 studies." in table_of("lungs", "lungs").notes[0]
    note = table_of("lungs", "body", "body", "scan").notes[0]
    assert "found in 1 study; in 2 studies the body was taken; in 1 study the whole scan was taken" in note


def test_what_is_undefined_is_a_dash():
    nothing = calibration_scores(*calibration_of(LABELS, studies=2, empty=2), {})
    assert set(table_of("lungs", scores=nothing).shown["Best Dice"]) == {"–"}


def test_models_without_probabilities_are_named():
    table = table_of("lungs", scores=SCORES[SCORES["model"] == "unet"])
    assert len(table.data) == 1 and table.notes[-1] == "Without probabilities: U-Net with VGG19 encoder."
