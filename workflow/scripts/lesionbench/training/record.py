"""What a finished training leaves in its folder: weights.safetensors, history.csv and run.json."""

import csv
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.environment import environment
from lesionbench.errors import UserError
from lesionbench.files import atomic, sha256
from lesionbench.models.entry import ModelEntry
from lesionbench.models.tensors import read_tensors
from lesionbench.training.recipe import Recipe
from lesionbench.training.runfile import EXPECTED, HISTORY, RECORD, WEIGHTS, read_contents, write_record
from lesionbench.words import counted, first_few


def write_run(
    folder: Path, weights: Mapping[str, Tensor], history: Sequence[Mapping[str, float]], record: Mapping[str, Any]
) -> None:
    """Write the best epoch's weights, the history (a row an epoch) and the record of what made them.

    The weights hold nothing that differs between two equal trainings; times and the machine are in the record, and the
    SHA-256 of the weights, by which `read_run` knows them.
    """
    with atomic(folder / WEIGHTS) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary, {"format": "pt"})
    write_history(folder, history)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    complete = {
        **record,
        "weights_sha256": sha256(folder / WEIGHTS),
        "seconds": sum(row["seconds"] for row in history),
        "peak_host_memory_bytes": peak,
        "environment": environment(),
    }
    write_record(complete, folder / RECORD)


def write_history(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write a row for each epoch so far."""
    with atomic(folder / HISTORY) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


@dataclass(frozen=True)
class Record:
    """A run.json: what was trained, how, and all else that it says (`docs/files.md`)."""

    model: ModelEntry
    recipe: Recipe
    preprocessing: Preprocessing
    contents: dict[str, Any]


def read_record(path: str | Path) -> Record:
    """Return the record of a finished training. Raises UserError as `runfile.read_contents` does."""
    contents = read_contents(path, needed=("model", "training", "preprocessing"))
    return Record(
        ModelEntry.of(contents["model"]),
        Recipe(**contents["training"]),
        Preprocessing(**contents["preprocessing"]),
        contents,
    )


def read_run(folder: Path) -> tuple[dict[str, Tensor], Record]:
    """Return the weights and the record of a finished training, as `read_record` does.

    Raises UserError too where the weights are not those that the record is of; older records do not say.
    """
    if problem := _no_run(folder):
        raise UserError(f"{folder}: {problem}. {EXPECTED}")
    record = read_record(folder / RECORD)
    try:
        weights = read_tensors(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / WEIGHTS}: cannot be read ({error}). {EXPECTED}") from error
    if record.contents.get("weights_sha256", found := sha256(folder / WEIGHTS)) != found:
        raise UserError(
            f"{folder / WEIGHTS}: these are not the weights that {RECORD} beside them is of: their SHA-256 is not the "
            "one written there. Copy both files of one training again, or train again."
        )
    return weights, record


def _no_run(folder: Path) -> str:
    """Return what is there instead of a run, "" where there is one."""
    if (folder / RECORD).exists():
        return ""
    if not folder.is_dir():
        return "this is a file" if folder.exists() else "no such folder"
    # A folder of models, of one model, or of its fold: four folders lie between the results and a run.
    below = [str(path.parent) for depth in range(1, 5) for path in sorted(folder.glob("*/" * depth + RECORD))]
    if not below:
        return f"this folder has no {RECORD}"
    return f"this folder holds {counted(len(below), 'run')} and is none itself: {first_few(below, 3)}"
