"""Measure, print a table and write it as JSON: `python -m benchmarks.run --help`."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from benchmarks import epochs, evaluation, imaging, peers, training, where, workflow
from benchmarks.measure import Row, Setting
from lesionbench.environment import environment
from lesionbench.files import atomic

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "train-axial": epochs.axial,
    "train-coronal": epochs.coronal,
    "memory": training.memory,
    "paper": training.paper,
    "preprocess": imaging.preprocess,
    "predict": imaging.predict,
    "evaluate": evaluation.evaluate_ten_studies,
    "compare": evaluation.compare_twenty_models,
    "dry-run": workflow.dry_run,
    "demo": workflow.demo,
    "where": where.where,
    "peers": peers.peers,
}

ON_DEMAND = ("where", "peers")  # which take long, or need other tools: run where they are named


def main() -> None:
    arguments = parse_arguments()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("This machine, or this PyTorch, has no CUDA device.")
    load = os.getloadavg()[0]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="lesionbench-") as folder:
        for name in arguments.only or [name for name in BENCHMARKS if name not in ON_DEMAND]:
            print(f"{name} …", file=sys.stderr, flush=True)
            own = Path(folder, name)
            own.mkdir()
            rows += BENCHMARKS[name](Setting(device, arguments.repetitions, own))
    print(as_table(rows))
    print(f"\n{write_json(rows, device, load)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: at the size of MosMedData")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--repetitions", type=int, default=3, help="how often each thing is measured")
    return parser.parse_args()


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows for the terminal: the median over the repetitions, and between which values they lie."""
    cells = [
        (
            row.name,
            f"{row.median:.3g} {row.unit}",
            f"{min(row.values):.3g} … {max(row.values):.3g}",
            row.bar,
            {True: "reached", False: "MISSED", None: ""}[row.met],
            "; ".join(filter(None, [row.what, row.note])),
        )
        for row in rows
    ]
    return tabulate(cells, ["", "median", "range", "bar", "", "what"], maxcolwidths=[None] * 5 + [64])


def write_json(rows: Sequence[Row], device: torch.device, load: float, folder: Path = RESULTS) -> Path:
    """Write the rows, and what they were measured on, to a file named by the time; return its path."""
    path = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    content = {
        "machine": machine(device),
        "load_at_start": load,
        "environment": environment(),
        "rows": [row.as_json() for row in rows],
    }
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def machine(device: torch.device) -> dict[str, Any]:
    """Return the processor's name, its cores, the memory in GB, and the GPU if it is measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


if __name__ == "__main__":
    main()
