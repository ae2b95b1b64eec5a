"""The tables of sweeps say which row to report, and conclusions name the optimism of the best on the test."""

import pandas as pd
import pytest

from lesionbench.evaluation.comparison import compare_models, read_comparison, write_comparison
from lesionbench.evaluation.selection import Sweep
from lesionbench.report.conclusions import conclusions
from lesionbench.report.sweep_tables import sweep_tables
from scored import LABELS, compared, score_frames

SWEEPS = {"s": Sweep("Swept U-Net", list(LABELS))}


def swept(studies=10, validation=(0.6, 0.5)):
    by_study, by_slice = score_frames(studies=studies)
    by_study["dice"] += 0.1 * (by_study["model"] == "unet_vgg19")
    chosen = pd.DataFrame({"model": list(LABELS), "fold": 0, "seed": 0, "validation_dice": validation})
    frames = (by_study, by_slice)
    return compare_models(*frames, LABELS, resamples=200, sweeps=SWEEPS, validation=chosen)


def test_there_are_no_tables_and_no_words_without_a_sweep():
    assert sweep_tables(compared()) == {}
    assert "optimistic" not in " ".join(conclusions(compared()))


def test_the_chosen_row_stands_beside_the_best_and_its_correction():
    comparison = swept()
    shown = sweep_tables(comparison)["sweeps"].shown.iloc[0]
    means = comparison.models.set_index("model")["mean_dice"]
    assert shown["Chosen on validation"] == "U-Net" and shown["Best on the test"] == "U-Net with VGG19 encoder"
    assert float(shown["Chosen: Dice"]) == pytest.approx(means["unet"], abs=0.0005)
    assert float(shown["Best: Dice (optimistic)"]) == pytest.approx(means["unet_vgg19"], abs=0.0005)
    rows = sweep_tables(comparison)["sweep_rows"].shown
    assert rows["Validation Dice"].tolist() == ["0.600", "0.500"]
    assert rows["Chosen on validation"].tolist() == ["yes", "no"] and rows["Best on the test"].tolist() == ["no", "yes"]


def test_conclusions_say_what_to_report():
    text = " ".join(conclusions(swept()))
    assert (
        "U-Net with VGG19 encoder (" in text
        and "best of 2 rows of Swept U-Net on the test, which is optimistic" in text
    )
    assert "corrected for the choice, 0." in text and "Chosen on validation studies, U-Net scores 0." in text


def test_few_studies_and_no_choice_leave_out_what_cannot_be_told():
    text = " ".join(conclusions(swept(studies=4, validation=(0.5, 0.5))))
    assert "optimistic" in text and "corrected for the choice" not in text and "Chosen on validation" not in text
    shown = sweep_tables(swept(studies=4, validation=(0.5, 0.5)))["sweeps"].shown.iloc[0]
    assert shown[["Chosen on validation", "Chosen: Dice", "Best, corrected"]].tolist() == ["–", "–", "–"]


def test_a_comparison_with_a_sweep_comes_back_from_its_file(tmp_path):
    comparison = swept()
    write_comparison(comparison, tmp_path / "comparison.json")
    read = read_comparison(tmp_path / "comparison.json")
    pd.testing.assert_frame_equal(read.sweeps, comparison.sweeps, check_exact=True)
    pd.testing.assert_frame_equal(read.sweep_rows, comparison.sweep_rows, check_exact=True)
