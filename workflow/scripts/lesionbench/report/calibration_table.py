"""The table of what the probabilities of the models are worth."""

from collections.abc import Mapping

import pandas as pd

from lesionbench.evaluation.calibration import BINS, RATES
from lesionbench.evaluation.scoring import Scoring
from lesionbench.report.tables import Table, format_number
from lesionbench.segmentation.lung_box import BODY, LUNGS, SCAN
from lesionbench.words import counted, listed

_COLUMNS = {
    "ece": ("ECE ↓", 4),
    "brier": ("Brier ↓", 4),
    "nll": ("NLL ↓", 4),
    "average_precision": ("Average precision ↑", 3),
    "froc": ("FROC ↑", 3),
    "dice_at_half": ("Dice at 0.5", 3),
    "best_dice": ("Best Dice", 3),
    "best_threshold": ("at threshold", 3),
}


def calibration_table(scores: pd.DataFrame, labels: Mapping[str, str], boxes: pd.DataFrame, scoring: Scoring) -> Table:
    """Return the table of `calibration_scores`; `boxes` are those of all test studies (`lung_box.box_frame`)."""
    data = scores.copy()
    data.insert(1, "label", data["model"].map(labels))
    shown = pd.DataFrame({"Model": data["label"]})
    for name, (header, digits) in _COLUMNS.items():
        shown[header] = [format_number(value, digits) for value in data[name]]
    notes = [_of_calibration(boxes), _of_thresholds(scoring)]
    if without := [label for model, label in labels.items() if model not in set(data["model"])]:
        notes.append(f"Without probabilities: {listed(without)}.")
    return Table("Probabilities", data, shown, tuple(notes))


def _of_calibration(boxes: pd.DataFrame) -> str:
    around = boxes["around"].value_counts()
    others = {BODY: "the body was taken", SCAN: "the whole scan was taken, as no body was found"}
    failed = [f"in {counted(around[kind], 'study')} {text}" for kind, text in others.items() if kind in around]
    where = f"{counted(around.get(LUNGS, 0), 'study')}" + (f"; {'; '.join(failed)}" if failed else "")
    return (
        f"ECE: expected calibration error, {BINS} bins of equal width; Brier: mean squared error of the probability; "
        "NLL: mean negative logarithm of the probability of what is true. All three are over the voxels in the box "
        f"around the lungs, found in {where}. Means over studies, with and without lesion. Most voxels are clearly no "
        "lesion, which makes the numbers small: compare them between models only."
    )


def _of_thresholds(scoring: Scoring) -> str:
    rates = ", ".join(f"{rate:g}" for rate in RATES)
    return (
        "Average precision: of voxels, mean over studies with lesion. FROC: the mean sensitivity for lesions of at "
        f"least {scoring.min_lesion_mm3:g} mm³ at {rates} false ones a study. Best Dice: at one threshold for all "
        "studies; it is chosen on the test studies, and so no result, but says what there is to gain by a threshold. "
        "Components of any size are kept in all columns."
    )
