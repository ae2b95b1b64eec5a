"""Where the seconds of whole runs go: into each rule's own work, into starting its processes, and into Snakemake."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.measure import Row, Setting
from benchmarks.recipe import REPOSITORY
from benchmarks.workflow import copy_checkout, run_in

TIMED = Path(__file__).parent / "timed"
DEMO = REPOSITORY / "presets" / "demo.yaml"
# 60 trainings as short as they can be: what is left is what the workflow itself takes.
SIXTY: dict[str, Any] = {
    "dataset": {"phantom": {"studies": 12, "annotated": 10, "size": 64, "slices": [10, 14]}},
    "preprocessing": {"plane": "axial"},
    "split": {"protocol": "cross-validation", "folds": 5},
    "seeds": [0, 1, 2],
    "training": {"max_epochs": 1, "device": "cpu"},
    "models": {
        "unet": {"options": {"width": 4}},
        "unet_vgg19": {"encoder": "mobilenet_v2", "encoder_weights": None},
        "unet_resnet34": {"encoder": "resnet18", "encoder_weights": None},
        "unet_mobilenet_v2": {"encoder_weights": None},
    },
    "reference_results": None,
}


def where(setting: Setting) -> Iterator[Row]:
    """The demo, and a cross-validation of 60 trainings, each once and on one core, so that its jobs run one by one."""
    yield from _run(setting.folder / "demo", "demo", yaml.safe_load(DEMO.read_text()), 0.25)
    yield from _run(setting.folder / "sixty", "60 trainings of an epoch", SIXTY, None)


def _run(folder: Path, what: str, overlay: Mapping[str, Any], bar: float | None) -> Iterator[Row]:
    copy_checkout(folder)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(dict(overlay)))
    times = folder / "seconds.jsonl"
    environment = os.environ | {"PYTHONPATH": str(TIMED), "LESIONBENCH_SECONDS": str(times)}
    started = time.perf_counter()
    run_in(folder, "-m", "snakemake", "--cores", "1", "--configfile", "overlay.yaml", environment=environment)
    wall = time.perf_counter() - started
    jobs = read_seconds(times)
    by_rule = jobs.groupby("rule").agg(jobs=("own", "size"), start=("start", "sum"), own=("own", "sum"))
    for rule, row in by_rule.sort_values("own", ascending=False).iterrows():
        note = f"and {row.start:.1f} s to start {row.jobs:.0f} processes and import what they need"
        yield Row(f"where/{folder.name}", f"{what}: {rule}", "s", [float(row.own)], note=note)
    own, start = float(jobs["own"].sum()), float(jobs["start"].sum())
    yield Row(f"where/{folder.name}", f"{what}: starting processes and importing", "s", [start])
    yield Row(f"where/{folder.name}", f"{what}: Snakemake", "s", [wall - own - start])
    share = Row(f"where/{folder.name}", f"{what}: share of {wall:.0f} s outside the jobs' work", "", [1 - own / wall])
    yield share if bar is None else Row(share.name, share.what, "", share.values, at_most=bar)


def read_seconds(path: Path) -> pd.DataFrame:
    """Return a row for each script that ran: its rule, the seconds of its start and imports, and of its own work."""
    rows = []
    for line in path.read_text().splitlines():
        process = json.loads(line)
        if script := re.search(r"\.snakemake/scripts/tmp\w+\.(\w+)\.py", process["ran"]):
            rows.append((script[1], process["imports"], process["seconds"] - process["imports"]))
    return pd.DataFrame(rows, columns=["rule", "start", "own"])
