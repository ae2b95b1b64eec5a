"""Choosing among rows that differ in a setting: on the validation studies, and on the test, where it is optimistic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesionbench.data.frames import read_frame
from lesionbench.errors import UserError
from lesionbench.evaluation.statistics import CONFIDENCE, SEED, dice_interval, fewest_studies, over_patients
from lesionbench.training.runfile import read_contents

SWEEP_COLUMNS = [
    "sweep", "label", "rows", "chosen", "chosen_dice", "chosen_low", "chosen_high", "best", "best_dice",
    "corrected_dice", "corrected_low", "corrected_high",
]  # fmt: skip
ROW_COLUMNS = ["sweep", "model", "label", "validation_dice", "mean_dice", "chosen_folds", "best"]


@dataclass(frozen=True)
class Sweep:
    """Rows that differ in a setting: how the sweep is called in words, and the names of its rows, in their order."""

    label: str
    rows: Sequence[str]


def read_validation(
    histories: Sequence[str | Path], records: Sequence[str | Path], runs: Sequence[Sequence[Any]]
) -> pd.DataFrame:
    """Return the validation Dice of each run's best epoch: model, fold, seed, validation_dice.

    The arguments are the history.csv, the run.json and the (model, fold, seed) of each run, in the same order. Raises
    UserError, naming the file, where one is damaged or they do not fit.
    """
    rows = []
    for history, record, run in zip(histories, records, runs, strict=True):
        best = read_contents(record, ("best_epoch",))["best_epoch"]
        frame = read_frame(history)
        known = {"epoch", "validation_dice"} <= {*frame}
        dice = frame.loc[frame["epoch"] == best, "validation_dice"].tolist() if known else []
        if len(dice) != 1:
            raise UserError(f"{history}: it has no line of epoch {best}, the best by {record}. Train again.")
        rows.append((*run, dice[0]))
    return pd.DataFrame(rows, columns=["model", "fold", "seed", "validation_dice"])


def left_out_scores(scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return, for each draw of patients, the mean of the row that is best in the draw over the patients outside it.

    scores: (rows, patients); draws: how often each patient is drawn, (draws, patients). A draw that leaves nobody out
    says nothing and has no score. Of equal rows the first is chosen.
    """
    draws = draws[(draws == 0).any(axis=1)]
    chosen = (draws @ scores.T).round(12).argmax(axis=1)
    outside = draws == 0
    means: np.ndarray = (scores[chosen] * outside).sum(axis=1) / outside.sum(axis=1)
    return means


def corrected_for_choice(scores: np.ndarray, resamples: int) -> tuple[float, float, float]:
    """Return the mean of the row that is best on these patients, corrected for that choice, and its 95 % interval.

    scores: (rows, patients), each averaged over trainings. Bootstrap bias correction: patients are drawn again with
    replacement, the row that is best among those drawn is scored on those left out; the mean and the percentiles over
    draws. NaN with fewer patients than `fewest_studies`. Source: Tsamardinos, Greasidou and Borboudakis, Machine
    Learning 107:1895 (2018), doi:10.1007/s10994-018-5714-4, algorithm BBC-CV.
    """
    patients = scores.shape[1]
    if patients < fewest_studies():
        return (math.nan, math.nan, math.nan)
    rng = np.random.default_rng(SEED)
    means = left_out_scores(scores, rng.multinomial(patients, np.full(patients, 1 / patients), size=resamples))
    low, high = np.quantile(means, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return float(means.mean()), float(low), float(high)


def judge_sweeps(
    sweeps: Mapping[str, Sweep],
    trainings: Mapping[str, np.ndarray],
    validation: pd.DataFrame | None,
    labels: Mapping[str, str],
    fold_of_patient: np.ndarray | None,
    resamples: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row for each sweep (SWEEP_COLUMNS), and one for each of its rows (ROW_COLUMNS).

    trainings: the Dice of each model, (trainings, patients); validation: of `read_validation`; fold_of_patient: which
    fold tested each patient, None for a single split.

    `chosen` is the row of the highest validation Dice, and `chosen_dice` its score on the test, with its interval. In a
    cross-validation each fold chooses for its own test studies, since other folds may have validated on them; `chosen`
    is empty where they differ. `best` is the row of the highest mean on the test, for whose choice `corrected_dice`
    corrects.
    """
    validation = read_validation([], [], []) if validation is None else validation
    validated = validation.groupby("model")["validation_dice"].mean()
    whole = fold_of_patient is None
    summaries, rows = [], []
    for name, sweep in sweeps.items():
        if not set(sweep.rows) <= trainings.keys():  # an external set of which a row has no masks
            continue
        scores = np.stack([trainings[model].mean(axis=0) for model in sweep.rows])
        folds = np.zeros(scores.shape[1], int) if fold_of_patient is None else fold_of_patient
        by_fold = _by_fold(validation.assign(fold=0) if whole else validation, sweep.rows, np.unique(folds))
        means = scores.mean(axis=1) if scores.size else np.full(len(scores), math.nan)
        best = int(np.nan_to_num(means).round(12).argmax())
        choice = _choose(by_fold)
        tested = scores[choice[np.unique(folds, return_inverse=True)[1]], np.arange(len(folds))] if choice.size else []
        chosen = sweep.rows[choice[0]] if len(np.unique(choice)) == 1 else ""
        mean, *ends = _with_interval(np.asarray(tested, float))
        corrected = corrected_for_choice(scores, resamples)
        found = [chosen, mean, *ends, sweep.rows[best], means[best], *corrected]
        summaries.append([name, sweep.label, len(sweep.rows), *found])
        for number, model in enumerate(sweep.rows):
            own = [validated.get(model, math.nan), means[number], int((choice == number).sum()), number == best]
            rows.append([name, model, labels[model], *own])
    return pd.DataFrame(summaries, columns=SWEEP_COLUMNS), pd.DataFrame(rows, columns=ROW_COLUMNS)


def _by_fold(validation: pd.DataFrame, rows: Sequence[str], folds: np.ndarray) -> np.ndarray:
    """Return the validation Dice of each row in each fold, averaged over trainings; NaN where there is none."""
    means = validation.groupby(["model", "fold"])["validation_dice"].mean().unstack("fold")
    return means.reindex(index=list(rows), columns=folds).to_numpy(float)


def _choose(by_fold: np.ndarray) -> np.ndarray:
    """Return the number of the row that each fold chooses, the first of equals; nothing where it cannot be told."""
    if not by_fold.size or np.isnan(by_fold).any() or not np.ptp(by_fold.round(12), axis=0).all():
        return np.empty(0, int)
    choice: np.ndarray = by_fold.round(12).argmax(axis=0)
    return choice


def _with_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean over patients and its 95 % interval; NaN of none."""
    if not values.size:
        return (math.nan, math.nan, math.nan)
    low, high = dice_interval([over_patients(values)])
    return float(values.mean()), float(low), float(high)
