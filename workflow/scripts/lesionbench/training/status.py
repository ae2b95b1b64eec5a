"""How far the trainings of an experiment are, from what they leave in their folders while they go on."""

import csv
import re
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from lesionbench.training.folder_lock import read_note
from lesionbench.training.runfile import HISTORY, LOCK, RECORD, STATE

PROGRAM_LOCK = "program/lock"  # of an external method
_RUN = re.compile(r"models/([^/]+)/fold-(\d+)/seed-(\d+)$")


@dataclass(frozen=True)
class Status:
    """A run; doing: finished, stopped, or what its process is at; epochs and Dice are None where there are none.

    validation_dice: of the last epoch, of a finished run the best; seconds_left: at the most, from the mean of the
    epochs so far; where: host and process, "" where none is at work.
    """

    model: str
    fold: int
    seed: int
    doing: str
    epoch: int | None = None
    max_epochs: int | None = None
    validation_dice: float | None = None
    patience_left: int | None = None
    seconds_left: float | None = None
    where: str = ""


def read_status(results: Path) -> list[Status]:
    """Return the runs that have begun, below a folder of results, in the order of their names."""
    found = [(path, _RUN.search(path.as_posix())) for path in results.glob("models/*/fold-*/seed-*")]
    runs = sorted((match[1], int(match[2]), int(match[3]), path) for path, match in found if match)
    return [status for model, fold, seed, path in runs if (status := _status(path, (model, fold, seed)))]


def _status(folder: Path, run: tuple[str, int, int]) -> Status | None:
    epochs = _read_epochs(folder / HISTORY)
    dice = [dice for dice, _ in epochs if not isnan(dice)]
    note = read_note(folder / LOCK) or read_note(folder / PROGRAM_LOCK)
    epoch, last = len(epochs) or None, dice[-1] if dice else None
    if note is None:
        if (folder / RECORD).is_file():
            return Status(*run, "finished", epoch, validation_dice=max(dice, default=None))
        begun = any((folder / name).exists() for name in (STATE, LOCK, PROGRAM_LOCK))
        return Status(*run, "stopped", epoch, validation_dice=last) if begun else None
    most, patience = note.get("max_epochs"), note.get("patience_left")
    seconds = sum(seconds for _, seconds in epochs)
    left = seconds / len(epochs) * (most - len(epochs)) if epochs and most else None
    where = f"{note['host']}, process {note['process']}"
    return Status(*run, note["doing"], epoch, most, last, patience, left, where)


def _read_epochs(path: Path) -> list[tuple[float, float]]:
    """Return validation Dice and seconds of each epoch; none where the file is not there or says something else."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [(float(row["validation_dice"]), float(row["seconds"])) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return []
