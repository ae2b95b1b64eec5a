"""A finished training as a folder for others: weights, record, operating point and card, without data and machine."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lesionbench.data.frames import read_frame
from lesionbench.errors import UserError
from lesionbench.files import sha256, write_json
from lesionbench.models.entry import ModelEntry
from lesionbench.models.own import own_network
from lesionbench.report.model_card import About, Scores, mean_scores, model_card
from lesionbench.segmentation.operating_point import FILE as POINT
from lesionbench.segmentation.operating_point import read_point
from lesionbench.training.record import read_run
from lesionbench.training.runfile import RECORD, WEIGHTS, write_record

CARD, CODE = "README.md", "code"
# Of a record: what says how the model was made, and not where or on whom.
_KEPT = (
    "model", "training", "preprocessing", "intensity", "fold", "seed", "encoder_weights_sha256", "code", "model_code",
    "parameters", "precision", "threads", "epochs", "best_epoch", "seconds", "peak_host_memory_bytes",
)  # fmt: skip
_NEEDED = ("parameters", "best_epoch", "epochs", "seed", "fold", "inputs_sha256", "environment")
_OF_DEVICE = ("type", "name", "memory_bytes", "driver", "cuda", "peak_memory_bytes")
_OF_ENVIRONMENT = ("lesionbench", "python", "packages", "git_commit", "finished")
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def export_model(run: Path, folder: Path, about: About) -> None:
    """Write a training to a new folder that `lesionbench segment --run` takes elsewhere, and that the Hub can hold.

    Raises UserError where the run is none or damaged, the folder holds something, or the license is no name of one.
    """
    if not _LICENSE.fullmatch(about.license):
        raise UserError(
            f"--license {about.license}: the Hub names licenses in small letters, as apache-2.0, cc-by-nc-4.0 or "
            "other. Choose one that the data allow."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: there is something already. Give a new folder.")
    _, found = read_run(run)
    if missing := [key for key in _NEEDED if key not in found.contents]:
        raise UserError(f"{run / RECORD}: it does not say its {missing[0]}, which the card tells. Train again.")
    record = shared_record(found.contents, sha256(run / WEIGHTS))
    if not {"train", "validation"} <= record["studies"].keys():
        raise UserError(f"{run / RECORD}: it does not say its studies, whose number the card tells. Train again.")
    temporary = folder.with_name(f".{os.getpid()}-{folder.name}")
    temporary.mkdir(parents=True)
    try:
        shutil.copyfile(run / WEIGHTS, temporary / WEIGHTS)
        record["model"]["architecture"], code = _copy_code(found.contents, temporary)
        point = _copy_point(run, temporary)
        (temporary / CARD).write_text(model_card(record, about, find_scores(run), point, code), encoding="utf-8")
        write_record(record, temporary / RECORD)
        if folder.exists():
            folder.rmdir()
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def shared_record(record: Mapping[str, Any], weights: str) -> dict[str, Any]:
    """Return what of a record is shared: no names of studies, no paths, nothing of the machine but its GPU's kind.

    weights: the SHA-256 of the weights, which older records lack.
    """
    model = dict(record["model"])
    if model.get("encoder_weights"):
        model["encoder_weights"] = Path(model["encoder_weights"]).name
    shared = {key: record[key] for key in _KEPT if key in record} | {"model": model, "weights_sha256": weights}
    inputs = record.get("inputs_sha256", {})
    return shared | {
        "inputs_sha256": {subset: _joint_hash(studies) for subset, studies in inputs.items()},
        "studies": {subset: _count(studies) for subset, studies in record.get("studies", inputs).items()},
        "device": {key: value for key, value in record.get("device", {}).items() if key in _OF_DEVICE},
        "environment": {key: record.get("environment", {}).get(key) for key in _OF_ENVIRONMENT},
    }


def _count(studies: Sequence[str] | int) -> int:
    return studies if isinstance(studies, int) else len(studies)


def _joint_hash(hashes: Mapping[str, str] | str) -> str:
    """Return one hash of the slices of all studies, whatever these are called; that of a shared model stays."""
    if isinstance(hashes, str):
        return hashes
    return hashlib.sha256("\n".join(sorted(hashes.values())).encode()).hexdigest()


def _copy_point(run: Path, folder: Path) -> dict[str, float] | None:
    """Write the operating point of a run, if it has one, without the studies that it was chosen on."""
    if not (run / POINT).is_file():
        return None
    point = read_point(run / POINT)
    shared = {"threshold": float(point.threshold), "min_component_mm3": float(point.min_component_mm3)}
    write_json(folder / POINT, shared, indent=1)
    return shared


def find_scores(run: Path) -> list[Scores]:
    """Return the mean scores of a run in its experiment's results: on its test studies, then on each external set.

    Empty where the run lies alone.
    """
    *_, kind, model, fold, seed = ("", "", "", *run.resolve().parts)
    if kind != "models":
        return []
    results, own = run.resolve().parents[3], Path("metrics", model, fold, seed, "studies.csv")
    places = {f"Test studies, {fold.replace('-', ' ')}": results / own}
    external = {path.relative_to(results).parts[1]: path for path in sorted(results.glob(f"external/*/{own}"))}
    return [
        mean_scores(name, read_frame(path), name in external)
        for name, path in (places | external).items()
        if path.is_file()
    ]


def _copy_code(record: Mapping[str, Any], folder: Path) -> tuple[str, str]:
    """Copy the files of a user's own network; return the architecture as others find it, and the network's file."""
    entry = ModelEntry.of(record["model"])
    own, recorded = own_network(entry.architecture), (record.get("model_code") or {}).get("files", {})
    if own is None or own.path is None or not recorded:
        return entry.architecture, ""
    files = own.files
    changed = [name for name in recorded if name not in files or sha256(files[name]) != recorded[name]]
    if changed:
        raise UserError(
            f"{own.path.parent}: {changed[0]}, which the network is made of, is not there, or not as it was in the "
            "training. Run the command where the training ran, with the code as it was then."
        )
    for name in recorded:
        (folder / CODE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[name], folder / CODE / name)
    main = next(name for name, path in files.items() if path == own.path.resolve())
    return f"{CODE}/{main}:{own.class_name}", f"{CODE}/{main}"
