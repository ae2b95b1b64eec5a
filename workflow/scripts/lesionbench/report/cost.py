"""What a model costs: parameters, arithmetic, time and memory."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from lesionbench.evaluation.scores import collect_scores
from lesionbench.models.networks import Network, build_network
from lesionbench.models.verdict import tried_sizes
from lesionbench.report.tables import UNDEFINED, Table, format_number
from lesionbench.segmentation.probabilities import SECONDS
from lesionbench.training.record import Record, read_record
from lesionbench.training.runfile import read_contents
from lesionbench.words import listed

_OF_ENSEMBLES = (
    "Of an ensemble: the sum over its members that are trained here, each with all its seeds; the largest memory."
)
_OF_METHODS = (
    "Of an external method: the time of its training, or of all of its job where it does not say, and the largest "
    "memory of one of its processes; its prediction includes reading the CT."
)
_SIDES = ("slice_height", "slice_width")
# What is not known of an external method.
_UNKNOWN = dict.fromkeys(("parameters", "slice_height", "slice_width", "gmacs"), math.nan)


def cost_table(
    records: Sequence[str | Path],
    predictions: Sequence[str | Path],
    checks: Sequence[str | Path],
    runs: Sequence[Sequence[Any]],
    rows: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
) -> Table:
    """Return the cost of each row: parameters, GMACs a slice, time and memory, as means over folds and seeds.

    `records` are the run.json of `runs`, a (model, fold, seed) each, those of networks first; `predictions` the folders
    of their predictions, which hold the time of each study; `checks` what the trial of each network found, in the order
    of the models in `runs`; `rows` the models whose costs are added for a row: of an ensemble its members, each with
    all its seeds.
    """
    read = [read_contents(path, ("seconds", "device", "peak_host_memory_bytes")) for path in records]
    times = collect_scores([Path(folder) / SECONDS for folder in predictions], runs)
    # The median, because the first study of a run also waits for the device to get ready.
    seconds = times.groupby(["model", "fold", "seed"])["seconds"].median().groupby("model").mean()
    costs: dict[str, dict[str, Any]] = {}
    for model, check in zip_longest(dict.fromkeys(run[0] for run in runs), checks):
        own = [number for number, run in enumerate(runs) if run[0] == model]
        means = pd.DataFrame([_measured(read[number]) for number in own]).mean()
        costs[model] = {
            **(_of_network(read_record(records[own[0]]), check) if check else _UNKNOWN),
            **{str(name): mean for name, mean in means.items()},
            "seconds_per_study": seconds.get(model, math.nan),
            "seeds": len({runs[number][2] for number in own}),
        }
    data = pd.DataFrame(
        [
            {"model": row, "label": labels[row]}
            | (costs[row] if list(models) == [row] else _sum([costs[model] for model in models]))
            for row, models in rows.items()
        ]
    ).drop(columns="seeds", errors="ignore")
    data = data.astype({"slice_height": "Int64", "slice_width": "Int64", "parameters": "Int64"})
    notes = _notes(read, rows)
    if uncounted := data.loc[data["gmacs"].isna() & data["parameters"].notna(), "label"].tolist():
        notes = (*notes, f"GMACs of {listed(uncounted)}: a network cannot predict a slice of zeros on the CPU.")
    return Table("Cost of the models", data, _show(data), notes)


def _of_network(record: Record, check: str | Path) -> dict[str, Any]:
    """Return the size of a network, and what the largest slice among those that it was tried on takes."""
    channels = record.preprocessing.channels
    network = build_network(record.model, channels=channels)
    height, width = network.padded_size(tried_sizes(check))
    return {
        "parameters": network.parameters,
        "slice_height": height,
        "slice_width": width,
        "gmacs": gmacs(network, height, width, channels),
    }


def _sum(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the cost of all members of an ensemble with all their seeds: sums, and the largest memory."""
    members = pd.DataFrame(costs)
    summed = ["parameters", "gmacs", "training_seconds", "seconds_per_study"]
    largest = ["device_memory_bytes", "host_memory_bytes"]
    same = {side: members[side].iloc[0] if members[side].nunique() == 1 else pd.NA for side in _SIDES}
    # As floats: a sum with an unknown part is unknown.
    sums = {name: (members["seeds"] * members[name].astype(float)).sum(skipna=False) for name in summed}
    return same | sums | {name: members[name].max() for name in largest} | {"epochs": math.nan}


def gmacs(network: Network, height: int, width: int, channels: int = 1) -> float:
    """Return the multiply-accumulate operations, in billions, that a slice takes a network; NaN where it fails.

    Convolutions and matrix products are counted, as is usual. Nothing is computed, so any size works; a network that
    reads values predicts one slice of zeros.
    """
    for module, device in ((network.padding.twin, "meta"), (network.module, "cpu")):
        if module is None:
            continue
        # Whatever a network raises; where it is trained, it has passed on the CPU.
        with suppress(Exception), torch.no_grad(), FlopCounterMode(display=False) as counter:
            module.eval()(torch.zeros(1, channels, height, width, device=device))
            return float(counter.get_total_flops() / 2e9)
    return math.nan


def _measured(record: Mapping[str, Any]) -> dict[str, float]:
    program = record.get("program", {})  # what an external method left
    return {
        "training_seconds": program.get("training_seconds", record["seconds"]),
        "epochs": record.get("epochs", program.get("epochs", math.nan)),
        "device_memory_bytes": record["device"].get(
            "peak_memory_bytes", program.get("peak_device_memory_bytes") or math.nan
        ),
        "host_memory_bytes": record["peak_host_memory_bytes"],
    }


def _show(data: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "Parameters (million)": (data["parameters"].astype(float) / 1e6, 1),
        "GMACs": (data["gmacs"], 2),
        "Training (s)": (data["training_seconds"], 0),
        "Epochs": (data["epochs"], 1),
        "GPU memory (GB)": (data["device_memory_bytes"] / 1e9, 1),
        "Host memory (GB)": (data["host_memory_bytes"] / 1e9, 1),
        "Prediction (s a study)": (data["seconds_per_study"], 2),
    }
    shown = pd.DataFrame({"Model": data["label"]})
    sides = data[list(_SIDES)].to_numpy()
    shown["Slice"] = [UNDEFINED if pd.isna(sizes).any() else " × ".join(map(str, sizes)) for sizes in sides]
    for header, (values, digits) in columns.items():
        if values.notna().any():
            shown[header] = [format_number(value, digits) for value in values]
    return shown


def _notes(records: Sequence[Mapping[str, Any]], rows: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    devices = sorted({record["device"].get("name", record["device"]["type"].upper()) for record in records})
    return (
        "GMACs: billions of multiply-accumulate operations in the convolutions and matrix products of one slice of the "
        "size given, which is that of the data set's largest slice, padded as the model needs it.",
        f"Time and memory: means over folds and seeds, measured on: {', '.join(devices)}. Training: all epochs; "
        "memory: the largest amount in use; prediction: the median over studies, from the file of slices to the mask.",
        *([_OF_ENSEMBLES] if any(len(models) > 1 for models in rows.values()) else []),
        *([_OF_METHODS] if any("program" in record for record in records) else []),
    )
