"""What the probabilities of lesion are worth: counted once for each run, then averaged over studies and trainings.

Probabilities are levels of 0 to 255 (`segmentation.probabilities`), so two histograms hold all there is to know of a
study's voxels. Definitions and sources are in docs/metrics.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lesionbench.data.reading import AS_IS, Reading
from lesionbench.data.scans import read_mask
from lesionbench.data.volume import Volume, match_grid
from lesionbench.errors import UserError
from lesionbench.evaluation.metrics import MaskPair
from lesionbench.evaluation.scoring import Scoring
from lesionbench.progress import track
from lesionbench.segmentation.lung_box import LungBox
from lesionbench.segmentation.probabilities import FOLDER, LEVELS, THRESHOLDS, probability_path, read_levels

BINS = 10  # of equal width, for the reliability curve and the calibration error
RATES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)  # false lesions a study, at which sensitivities are averaged
FROC_LEVELS = (5, 13, 26, 51, 77, 102, 128, 153, 179, 204, 230, 242, 250)  # a lesion is made of this level and above
RECALLS = np.linspace(0, 1, 101)
COUNTS = ["voxels", "lesion", "voxels_in_box", "lesion_in_box"]
SCORES = ["ece", "brier", "nll", "average_precision"]
_LEVEL = np.arange(LEVELS + 1) / LEVELS
# Level 0 holds probabilities up to 0.5 / 255: its middle, for a logarithm.
_INSIDE = np.clip(_LEVEL, 0.25 / LEVELS, 1 - 0.25 / LEVELS)
_BIN = np.minimum((_LEVEL * BINS + 1e-9).astype(int), BINS - 1)


def count_levels(levels: np.ndarray, reference: np.ndarray, box: LungBox) -> pd.DataFrame:
    """Return the voxels and the lesion voxels of each level that occurs, in the scan and within a box.

    levels, reference: uint8 (i, j, k); reference: {0, 1}.
    """
    lesion = reference.astype(bool)
    parts = (levels, levels[lesion], levels[box.slices], levels[box.slices][lesion[box.slices]])
    counts = {name: np.bincount(part.ravel(), minlength=LEVELS + 1) for name, part in zip(COUNTS, parts, strict=True)}
    frame = pd.DataFrame({"level": np.arange(LEVELS + 1), **counts})
    return frame[frame["voxels"] > 0].reset_index(drop=True)


def count_lesions(levels: Volume, reference: Volume, scoring: Scoring) -> pd.DataFrame:
    """Return how many lesions are found, missed and false at each of FROC_LEVELS, matched as in `metrics`."""
    rows = []
    for level in FROC_LEVELS:
        mask = Volume((levels.data >= level).view(np.uint8), levels.affine)
        matching = MaskPair(reference, mask, "axial", scoring).loose
        rows.append((level, matching.found, matching.missed, matching.false))
    return pd.DataFrame(rows, columns=["level", "found", "missed", "false"])


def count_studies(
    folder: str | Path,
    references: Mapping[str, str | Path],
    boxes: Mapping[str, LungBox],
    scoring: Scoring,
    reading: Reading = AS_IS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the `count_levels` and the `count_lesions` of the probabilities in a folder of masks, led by study.

    references: the reference masks by study, read as `reading` says. Both are empty where the folder holds no
    probabilities, as those of external methods may not. Raises UserError, naming the file or the study, where a file is
    missing or damaged, or where grids differ.
    """
    counts = [pd.DataFrame(columns=["study", "level", *COUNTS])]
    lesions = [pd.DataFrame(columns=["study", "level", "found", "missed", "false"])]
    for study, path in track(references.items() if Path(folder, FOLDER).is_dir() else (), "study"):
        levels = read_levels(probability_path(folder, study))
        reference = match_grid(study, levels, read_mask(path, reading), names=("prediction", "reference"))
        counts.append(count_levels(levels.data, reference.data, boxes[study]).assign(study=study))
        lesions.append(count_lesions(levels, reference, scoring).assign(study=study))
    return pd.concat(counts[1:] or counts)[counts[0].columns], pd.concat(lesions[1:] or lesions)[lesions[0].columns]


@dataclass(frozen=True)
class Histograms:
    """The counts of a model's predictions, frames with a row a prediction (study, seed) and a column a level.

    voxels, lesion: of the scan; voxels_in_box, lesion_in_box: within the box around the lungs.
    """

    voxels: pd.DataFrame
    lesion: pd.DataFrame
    voxels_in_box: pd.DataFrame
    lesion_in_box: pd.DataFrame

    @classmethod
    def of(cls, counts: pd.DataFrame) -> "Histograms":
        """Return those of the counts of `count_levels`, led by seed and study."""
        wide = [counts.pivot(index=["study", "seed"], columns="level", values=name) for name in COUNTS]
        return cls(*(frame.reindex(columns=range(LEVELS + 1)).fillna(0.0) for frame in wide))

    def scores(self) -> pd.DataFrame:
        """Return the SCORES of each prediction; NaN where undefined."""
        voxels, lesion = self.voxels_in_box.to_numpy(), self.lesion_in_box.to_numpy()
        rest, total = voxels - lesion, voxels.sum(axis=1)
        _, probability, share = self.bins()
        values = {
            "ece": np.abs(share - probability).sum(axis=1),
            "brier": (rest @ _LEVEL**2 + lesion @ (1 - _LEVEL) ** 2) / total,
            "nll": -(lesion @ np.log(_INSIDE) + rest @ np.log(1 - _INSIDE)) / total,
            "average_precision": self.average_precision(),
        }
        return pd.DataFrame(values, self.voxels.index)

    def bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return arrays (predictions, BINS), each over all voxels in the box: voxels, their probabilities, lesion."""
        voxels, lesion = self.voxels_in_box.to_numpy(), self.lesion_in_box.to_numpy()
        total = voxels.sum(axis=1, keepdims=True)
        in_bin = _BIN[:, None] == np.arange(BINS)
        return voxels @ in_bin / total, (voxels * _LEVEL) @ in_bin / total, lesion @ in_bin / total

    def at_least(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how many voxels of the scan, and of its lesions, have each level or more: (predictions, levels)."""
        predicted, both = (np.cumsum(part.to_numpy()[:, ::-1], axis=1)[:, ::-1] for part in (self.voxels, self.lesion))
        return predicted, both

    def dice(self) -> pd.DataFrame:
        """Return the Dice of each prediction (row) at each of THRESHOLDS; NaN without lesion."""
        predicted, both = self.at_least()
        dice = 2 * both[:, 1:] / np.maximum(predicted[:, 1:] + both[:, :1], 1)
        return self._with_lesion(pd.DataFrame(dice, self.voxels.index, THRESHOLDS))

    def average_precision(self) -> np.ndarray:
        """Return the mean of the precision over the recall of each prediction, in steps from the highest level down."""
        predicted, both = self.at_least()
        steps = -np.diff(both, axis=1, append=0) / np.maximum(both[:, :1], 1)
        area: np.ndarray = (steps * both / np.maximum(predicted, 1)).sum(axis=1)
        return np.where(both[:, 0] > 0, area, np.nan)

    def precision(self) -> pd.DataFrame:
        """Return the interpolated precision at each of RECALLS: the best at this recall or a higher one."""
        predicted, both = self.at_least()
        recall = (both / np.maximum(both[:, :1], 1))[:, ::-1]
        best = np.maximum.accumulate(both / np.maximum(predicted, 1), axis=1)[:, ::-1]
        rows = [
            at[np.minimum(np.searchsorted(own, RECALLS - 1e-12), LEVELS)] for at, own in zip(best, recall, strict=True)
        ]
        return self._with_lesion(pd.DataFrame(rows, self.voxels.index, RECALLS))

    def _with_lesion(self, values: pd.DataFrame) -> pd.DataFrame:
        """Return values, NaN where the reference holds no lesion."""
        return values.where(self.lesion.sum(axis="columns") > 0, axis="index")


def calibration_scores(counts: pd.DataFrame, lesions: pd.DataFrame, patients: Mapping[str, str]) -> pd.DataFrame:
    """Return a row a model: SCORES, froc, Dice at 0.5 and at the best threshold of all studies, and that threshold.

    counts, lesions: of all runs and studies, led by model, fold, seed and study. Means are over trainings of a study,
    then over a patient's studies, then over patients. Raises UserError where no run has probabilities.
    """
    if counts.empty:
        raise UserError(
            "evaluation.probabilities: none of the models leaves probabilities. Compare one that does, or write:\n"
            "  evaluation: {probabilities: false}"
        )
    rows = []
    for model, own in counts.groupby("model", sort=False):
        histograms = Histograms.of(own)
        scores, dice = (over_patients(part, patients) for part in (histograms.scores(), histograms.dice()))
        froc = froc_curve(lesions[lesions["model"] == model])
        best = dice.idxmax() if dice.notna().any() else np.nan
        values = {"froc": sensitivity_at(froc), "dice_at_half": dice[0.5], "best_dice": dice.max()}
        rows.append({"model": model, **scores, **values, "best_threshold": best})
    return pd.DataFrame(rows)


def calibration_curves(counts: pd.DataFrame, lesions: pd.DataFrame, patients: Mapping[str, str]) -> pd.DataFrame:
    """Return the points of four curves of each model: model, curve, x, y.

    reliability: mean probability and share of lesion in each of BINS; precision_recall: recall and mean interpolated
    precision; froc: `froc_curve`; dice: threshold and mean Dice. Means are those of `calibration_scores`.
    """
    frames = []
    for model, own in counts.groupby("model", sort=False):
        histograms = Histograms.of(own)
        curves = {
            "reliability": reliability_curve(histograms, patients),
            "precision_recall": _curve(over_patients(histograms.precision(), patients)),
            "froc": froc_curve(lesions[lesions["model"] == model]),
            "dice": _curve(over_patients(histograms.dice(), patients)),
        }
        frames += [curve.assign(model=model, curve=name) for name, curve in curves.items()]
    return pd.concat(frames, ignore_index=True)[["model", "curve", "x", "y"]]


def reliability_curve(histograms: Histograms, patients: Mapping[str, str]) -> pd.DataFrame:
    """Return the mean probability (x) and the share of lesion (y) of the voxels in the boxes, by bin.

    The voxels of a patient weigh as much as those of another. Bins without voxels are left out.
    """
    voxels, probability, lesion = (
        over_patients(pd.DataFrame(part, histograms.voxels.index), patients) for part in histograms.bins()
    )
    return pd.DataFrame({"x": probability / voxels, "y": lesion / voxels})[voxels > 0].reset_index(drop=True)


def froc_curve(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return false lesions a study (x) and the share of all lesions that are found (y), a row for each level.

    Each is the mean over trainings. y is NaN where there is no lesion. A lower level can find fewer lesions, where they
    grow together: levels are left out where another finds as many with no more false ones.
    """
    sums = lesions.groupby(["level", "seed"])[["found", "missed", "false"]].sum()
    studies = lesions.groupby(["level", "seed"])["study"].nunique()
    found = sums["found"] / (sums["found"] + sums["missed"]).where(lambda count: count > 0)
    means = pd.DataFrame({"x": sums["false"] / studies, "y": found}).groupby("level").mean()
    rising = means.sort_values(["x", "y"], ascending=[True, False])
    return rising[~(rising["y"] <= rising["y"].cummax().shift())].reset_index(drop=True)


def sensitivity_at(froc: pd.DataFrame, rates: Sequence[float] = RATES) -> float:
    """Return the mean, over rates of false lesions a study, of the highest sensitivity at that rate or below.

    It counts 0 for a rate below all of the curve; NaN where there is no lesion.
    """
    best = [froc.loc[froc["x"] <= rate, "y"].max() for rate in rates]
    return float(np.nan_to_num(best).mean()) if froc["y"].notna().any() else np.nan


def over_patients(values: pd.DataFrame, patients: Mapping[str, str]) -> pd.Series:
    """Return means of columns over trainings, then a patient's studies, then patients; rows are (study, seed)."""
    by_study = values.groupby(level="study", sort=False).mean()
    return by_study.groupby(lambda study: patients.get(study, study), sort=False).mean().mean()


def _curve(values: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"x": values.index, "y": values.to_numpy()})
