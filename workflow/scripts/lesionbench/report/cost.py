"""What a model costs: parameters, arithmetic, time and memory."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from lesionbench.data.slices import stack_shape, stack_spacing
from lesionbench.evaluation.scores import collect_scores
from lesionbench.models.networks import Network, build_network
from lesionbench.report.tables import Table, format_number
from lesionbench.segmentation.inference import SECONDS
from lesionbench.training.record import read_record
from lesionbench.words import listed


def cost_table(
    records: Sequence[str | Path],
    predictions: Sequence[str | Path],
    stacks: Sequence[str | Path],
    runs: Sequence[Sequence[Any]],
    labels: Mapping[str, str],
) -> Table:
    """Return the cost of each model: parameters, GMACs a slice, time and memory, as means over folds and seeds.

    `records` are the run.json of `runs`, a (model, fold, seed) each; `predictions` the folders of their predictions,
    which hold the time of each study; `stacks` the slices of all studies, whose largest size is the one counted.
    """
    read = [read_record(path) for path in records]
    times = collect_scores([Path(folder) / SECONDS for folder in predictions], runs)
    # The median, because the first study of a run also waits for the device to get ready.
    seconds = times.groupby(["model", "fold", "seed"])["seconds"].median().groupby("model").mean()
    rows = []
    for model, label in labels.items():
        own = [record for record, run in zip(read, runs, strict=True) if run[0] == model]
        seen, channels = own[0].preprocessing.seen, own[0].preprocessing.channels
        network = build_network(own[0].model, channels=channels)
        height, width = network.padded_size(seen(stack_shape(path), stack_spacing(path)) for path in stacks)
        means = pd.DataFrame([_measured(record.contents) for record in own]).mean()
        rows.append(
            {
                "model": model,
                "label": label,
                "parameters": network.parameters,
                "slice_height": height,
                "slice_width": width,
                "gmacs": gmacs(network, height, width, channels),
                **means.to_dict(),
                "seconds_per_study": seconds[model],
            }
        )
    data = pd.DataFrame(rows)
    notes = _notes([record.contents for record in read])
    if uncounted := data.loc[data["gmacs"].isna(), "label"].tolist():
        notes = (*notes, f"GMACs of {listed(uncounted)}: the network cannot predict a slice of zeros on the CPU.")
    return Table("Cost of the models", data, _show(data), notes)


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
    return {
        "training_seconds": record["seconds"],
        "epochs": record["epochs"],
        "device_memory_bytes": record["device"].get("peak_memory_bytes", float("nan")),
        "host_memory_bytes": record["peak_host_memory_bytes"],
    }


def _show(data: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "Parameters (million)": (data["parameters"] / 1e6, 1),
        "GMACs": (data["gmacs"], 2),
        "Training (s)": (data["training_seconds"], 0),
        "Epochs": (data["epochs"], 1),
        "GPU memory (GB)": (data["device_memory_bytes"] / 1e9, 1),
        "Host memory (GB)": (data["host_memory_bytes"] / 1e9, 1),
        "Prediction (s a study)": (data["seconds_per_study"], 2),
    }
    shown = pd.DataFrame({"Model": data["label"]})
    shown["Slice"] = [f"{height} × {width}" for height, width in data[["slice_height", "slice_width"]].to_numpy()]
    for header, (values, digits) in columns.items():
        if values.notna().any():
            shown[header] = [format_number(value, digits) for value in values]
    return shown


def _notes(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    devices = sorted({record["device"].get("name", record["device"]["type"].upper()) for record in records})
    return (
        "GMACs: billions of multiply-accumulate operations in the convolutions and matrix products of one slice of the "
        "size given, which is that of the data set's largest slice, padded as the model needs it.",
        f"Time and memory: means over folds and seeds, measured on: {', '.join(devices)}. Training: all epochs; "
        "memory: the largest amount in use; prediction: the median over studies, from the file of slices to the mask.",
    )
