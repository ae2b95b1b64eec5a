"""The file run.json: what made a run, with a hash of what decides its masks, by which an edited one is told.

It needs no PyTorch: tables and pages read it too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lesionbench.errors import UserError
from lesionbench.files import write_json
from lesionbench.schema import read_checked

WEIGHTS, HISTORY, RECORD = "weights.safetensors", "history.csv", "run.json"
STATE, LOCK = "training-state.pt", ".lock"  # beside them, as long as a training is not finished
EXPECTED = (
    f"Give the folder of one finished training, with {WEIGHTS} and {RECORD}, such as results/models/unet/fold-0/seed-0."
)
HASH = "recipe_sha256"
# Of a training, and of a job of an external method.
_DECIDES = (
    "model", "model_code", "training", "preprocessing", "intensity", "fold", "seed", "code", "inputs_sha256",
    "encoder_weights_sha256", "weights_sha256", "method", "command", "options", "program_code",
)  # fmt: skip


def write_record(record: Mapping[str, Any], path: str | Path) -> None:
    """Write a record with the hash of its recipe."""
    write_json(path, {**record, HASH: recipe_hash(record)})


def recipe_hash(record: Mapping[str, Any]) -> str:
    """Return a SHA-256 over what of a record decides the masks of its run, as JSON with sorted keys."""
    decides = {key: record[key] for key in _DECIDES if key in record}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def read_contents(path: str | Path, needed: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a record says, its keys as workflow/schemas/run.schema.yaml has them.

    Raises UserError, naming the file, where it is missing or damaged, lacks one of the keys `needed`, or its recipe is
    not the one that was written: older records have no hash of it.
    """
    try:
        contents = read_checked(path, "run")
        if missing := [key for key in needed if key not in contents]:
            raise ValueError(f"it does not say its {missing[0]}")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as the record of a run ({error}). {EXPECTED}") from error
    if contents.get(HASH, found := recipe_hash(contents)) != found:
        raise UserError(
            f"{path}: it was edited or damaged: its recipe is not the one that was written, so what it says of model, "
            "training or preprocessing is not how these weights were made. Copy it again, or train again."
        )
    return contents
