"""Which trainings segment a scan: the runs below the folders that a user gives. Needs only the standard library."""

from collections.abc import Sequence
from pathlib import Path

from lesionbench.errors import UserError

_RECORD = "run.json"  # `training.record.RECORD`, whose module imports PyTorch
# Below the folder of a model, and below that of its fold.
_RUNS = (f"fold-*/seed-*/{_RECORD}", f"seed-*/{_RECORD}")


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of runs, each once: a run's own, an exported model's, or those in the folder of a model.

    Raises UserError where a folder is none. Whether a run is one, who loads it says.
    """
    runs: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            what = "this is a file" if folder.exists() else "no such folder"
            raise UserError(
                f"{folder}: {what}. Give the folder of one finished training, such as "
                "results/models/unet/fold-0/seed-0, of a model, such as results/models/unet, or of an exported model."
            )
        below = [path.parent for pattern in _RUNS for path in sorted(folder.glob(pattern))]
        runs += [folder] if (folder / _RECORD).exists() or not below else below
    unique: dict[Path, Path] = {}
    for run in runs:
        unique.setdefault(run.resolve(), run)
    return list(unique.values())
