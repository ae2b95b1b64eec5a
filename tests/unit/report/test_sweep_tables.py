"""The tables of sweeps say which row to report, and conclusions name the optimism of the best on the test."""

import pandas as pd
import pytest

from lesionbench.data.frames import read_frame
from lesionbench.evaluation.comparison import compare_models, read_comparison, write_comparison
from lesionbench.evaluation.selection import Sweep
from lesionbench.report.conclusions import conclusions
from lesionbench.report.sweep_tables import sweep_tables
from lesionbench.report.tables import write_table
from scored import LABELS, compared, score_frames

SWEEPS = {"s": Sweep("Swept U-Net", list(LABELS))}


def swept(studies=10, validation=(0.6, 0.5)):
    by_study, by_slice = score_frames(studies=studies)
    by_study["dice"] += 0.1 * (by_study["model"] == "unet_vgg19")
    chosen = pd.DataFrame({"model": list(LABELS), "fold": 0, "seed": 0, "validation_dice": validation})
    labels = LABELS | {"unet": "Swept U-Net, learning rate 0.1"}
    return compare_models(by_study, by_slice, labels, resamples=200, sweeps=SWEEPS, validation=chosen)


def test_tables_of_a_set_without_a_sweep_are_empty_and_nothing_is_said_of_it(tmp_path):
    for name, table in sweep_tables(compared()).items():
        write_table(table, [tmp_path / f"{name}.{suffix}" for suffix in ("html", "csv", "md", "tex")])
        assert read_frame(tmp_path / f"{name}.csv").empty
    assert "optimistic" not in " ".join(conclusions(compared()))


def test_the_chosen_row_stands_beside_the_best_and_its_correction():
    comparison = swept()
    table = sweep_tables(comparison)["sweeps"]
    means = comparison.models.set_index("model")["mean_dice"]
    assert table.shown["Score"].tolist()[:2] == ["chosen on validation", "best on the test"]
    assert table.shown["Row"].tolist() == ["learning rate 0.1", "U-Net with VGG19 encoder", "U-Net with VGG19 encoder"]
    assert table.data["mean_dice"].tolist()[:2] == pytest.approx([means["unet"], means["unet_vgg19"]])
    assert table.shown["95\u00a0% interval"].tolist()[1] == "–" and table.data["high"].notna().sum() == 2
    rows = sweep_tables(comparison)["sweep_rows"].shown
    assert rows["Validation Dice"].tolist() == ["0.600", "0.500"]
    assert rows["Chosen on validation"].tolist() == ["yes", "no"] and rows["Best on the test"].tolist() == ["no", "yes"]


def test_conclusions_say_what_to_report():
    text = " ".join(conclusions(swept()))
    assert (
        "U-Net with VGG19 encoder (" in text
        and "best of 2 rows of Swept U-Net on the test, which is optimistic" in text
    )
    assert (
        "corrected for the choice, 0." in text
        and "Chosen on validation studies, Swept U-Net, learning rate 0.1 scores 0." in text
    )


def test_few_studies_and_no_choice_leave_out_what_cannot_be_told():
    text = " ".join(conclusions(swept(studies=4, validation=(0.5, 0.5))))
    assert "optimistic" in text and "corrected for the choice" not in text and "Chosen on validation" not in text
    shown = sweep_tables(swept(studies=4, validation=(0.5, 0.5)))["sweeps"].shown
    assert shown["Row"].tolist()[0] == "–" and shown["Mean Dice"].tolist()[::2] == ["–", "–"]


def test_folds_that_choose_different_rows_are_told():
    by_study, by_slice = score_frames()
    fold = by_study["study"].str[-1].astype(int) % 2
    chosen = pd.DataFrame({"model": [*LABELS] * 2, "fold": [0, 0, 1, 1], "seed": 0, "validation_dice": [2, 1, 1, 2]})
    frames = (by_study.assign(fold=fold), by_slice)
    comparison = compare_models(*frames, LABELS, resamples=200, test_share=1, sweeps=SWEEPS, validation=chosen)
    tables = sweep_tables(comparison)
    assert tables["sweeps"].shown["Row"].iloc[0] == "by fold"
    assert tables["sweep_rows"].shown["Chosen on validation"].tolist() == ["1 of 2 folds"] * 2
    assert "Chosen on validation studies, the row of each fold scores" in " ".join(conclusions(comparison))


def test_a_comparison_with_a_sweep_comes_back_from_its_file(tmp_path):
    comparison = swept()
    write_comparison(comparison, tmp_path / "comparison.json")
    read = read_comparison(tmp_path / "comparison.json")
    pd.testing.assert_frame_equal(read.sweeps, comparison.sweeps, check_exact=True)
    pd.testing.assert_frame_equal(read.sweep_rows, comparison.sweep_rows, check_exact=True)
