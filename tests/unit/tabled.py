"""Made-up results that tables are made of."""

import json
from dataclasses import asdict

import pandas as pd

from lesionbench.models.entry import ModelEntry
from lesionbench.report.cost import cost_table

SMALL = ModelEntry("classic-unet", options={"width": 2})
MOBILE = ModelEntry("Unet", "mobilenet_v2")
INVENTORY = pd.DataFrame(
    {
        "study": [f"study_{number:04d}" for number in range(50)],
        "axial_slices": range(20, 70),
        "coronal_slices": 512,
        "sagittal_slices": 512,
        "lesion_slices": 5,
    }
)
FOLD = INVENTORY[["study"]].assign(subset=["train"] * 35 + ["validation"] * 5 + ["test"] * 10)


def write_runs(folder, runs, device):
    """Write a record and the prediction times of each (model, seconds, epochs, seconds of each study)."""
    records, predictions = [], []
    for number, (model, seconds, epochs, studies) in enumerate(runs):
        run = folder / str(number)
        run.mkdir()
        record = {"model": asdict(model), "training": {}, "preprocessing": {}, "seconds": seconds}
        records.append(run / "run.json")
        records[-1].write_text(json.dumps(record | {"epochs": epochs, "device": device, "peak_host_memory_bytes": 3e9}))
        times = pd.DataFrame({"study": [f"study_{study:04d}" for study in range(len(studies))], "seconds": studies})
        times.to_csv(run / "seconds.csv", index=False)
        predictions.append(run)
    return records, predictions


def write_check(folder, model, sizes):
    """Write what the trial of a model finds, as far as it says on which sizes of slices."""
    path = folder / f"{model}.json"
    path.write_text(json.dumps({"slices": [{"size": size} for size in sizes]}))
    return path


def cost_on_a_cpu(folder):
    """The cost of one small model that was trained once."""
    records, predictions = write_runs(folder, [(SMALL, 1, 1, [1])], {"type": "cpu"})
    check = write_check(folder, "small", [(32, 32)])
    return cost_table(records, predictions, [check], [["small", 0, 0]], {"small": ["small"]}, {"small": "Small"})
