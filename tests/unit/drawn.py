"""What figures are drawn of, and what can be read in them."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from lesionbench.evaluation.calibration import FROC_LEVELS
from lesionbench.segmentation.operating_point import SIZES
from lesionbench.segmentation.probabilities import THRESHOLDS

MANY = {f"model_{number}": f"U-Net with encoder number {number}" for number in range(9)}
# Rows of a sweep, whose labels differ at their ends.
SWEPT = {f"row_{n}": f"U-Net with ResNet34 encoder, batch size 8, learning rate {n / 1000:.3f}" for n in range(1, 21)}
CATEGORIES = np.array([f"CT-{k}" for k in range(5)])
CLASSES = pd.DataFrame({"category": CATEGORIES, "studies": [254, 684, 125, 45, 2]})


def texts(figure):
    """The figure's visible texts with their boxes in pixels (an annotation's without its arrow)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    beyond = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        beyond |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    found = [item for item in figure.findobj(Text) if item.get_visible() and item.get_text().strip()]
    return [(item, Text.get_window_extent(item, canvas.get_renderer())) for item in found if item not in beyond]


def assert_legible(figure):
    """No text is smaller than 7 pt or leaves the figure."""
    for item, box in texts(figure):
        assert item.get_fontsize() >= 7, item
        assert box.x0 >= -1 and box.y0 >= -1, item
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, item


def assert_aspect(figure, ratio):
    """Every picture fills its axes, at the patient's proportions."""
    figure.draw_without_rendering()
    for axes in (axes for axes in figure.axes if axes.images):
        rows, columns = axes.images[0].get_array().shape[:2]
        assert axes.get_window_extent().height / axes.get_window_extent().width == pytest.approx(ratio, rel=1e-3)
        assert axes.get_aspect() * rows / columns == pytest.approx(ratio)


def costs_of(labels):
    """Parameters and GMACs of models, of which the first is the smallest and the slowest."""
    numbers = range(1, len(labels) + 1)
    data = {"model": list(labels), "label": list(labels.values())}
    return pd.DataFrame({**data, "parameters": [7e6 * n for n in numbers], "gmacs": [200.0 / n for n in numbers]})


def histories_of(labels, seeds=1):
    """The history of a training of twelve epochs, whose fifth is the best, for each model and seed."""
    rows = [
        {"model": model, "fold": 0, "seed": seed, "epoch": epoch, "train_loss": 1 / epoch,
         "validation_loss": abs(epoch - 5) / 10, "validation_dice": 1 - 1 / epoch,
         "best_epoch_by": "loss"}
        for model in labels for seed in range(seeds) for epoch in range(1, 13)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def choices_of(folder, labels, seeds=1, sizes=True):
    """Files of operating points, made up, and the runs that they are of."""
    runs = [(model, 0, seed) for model in labels for seed in range(seeds)]
    for number, (model, _, seed) in enumerate(runs):
        dice = 0.7 - (THRESHOLDS - 0.2 - 0.5 * number / len(runs)) ** 2
        record = {"threshold": THRESHOLDS[dice.argmax()], "min_component_mm3": 0, "studies": ["a", "b", "c"]}
        record["by_threshold"] = {"threshold": THRESHOLDS.tolist(), "dice": dice.tolist()}
        if sizes:
            by_size = [0.6 + 0.1 * (size == 20) for size in SIZES]
            record["by_min_component_mm3"] = {"min_component_mm3": SIZES, "dice": by_size}
            record["min_component_mm3"] = 20
        (folder / f"{model}-{seed}.json").write_text(json.dumps(record))
    return [folder / f"{model}-{seed}.json" for model, _, seed in runs], runs


def calibration_of(labels, studies=4, seeds=1, empty=0):
    """Counts of voxels and lesions by level (`evaluation.calibration`), made up; the last `empty` have no lesion."""
    random, voxels, lesions = np.random.default_rng(0), [], []
    for number, model in enumerate(labels):
        for seed, study in np.ndindex(seeds, studies):
            run = {"model": model, "fold": 0, "seed": seed, "study": f"study_{study}"}
            level = np.arange(256)
            count = random.integers(50, 100, 256) + 20_000 * (level == 0)
            lesion = np.rint(count * (level / 255) ** (0.4 + 0.4 * number)).astype(int) * (study < studies - empty)
            counts = {"voxels": count, "lesion": lesion, "voxels_in_box": count // 2, "lesion_in_box": lesion // 2}
            voxels.append(pd.DataFrame({"level": level, **counts}).assign(**run))
            found = (np.linspace(9, 1, len(FROC_LEVELS)) * (study < studies - empty)).astype(int)
            missed, false = 9 * (study < studies - empty) - found, np.geomspace(60, 1, len(FROC_LEVELS)) * (1 + number)
            rows = {"level": FROC_LEVELS, "found": found, "missed": missed, "false": false.astype(int)}
            lesions.append(pd.DataFrame(rows).assign(**run))
    return pd.concat(voxels, ignore_index=True), pd.concat(lesions, ignore_index=True)


def shares_of(labels, studies=(5, 8, 4, 3, 2)):
    """Shares of the lungs involved (`evaluation.severity`), made up, of so many studies of each class."""
    random, frames = np.random.default_rng(0), []
    classes = np.repeat(range(5), studies)
    for model in labels:
        share = np.clip(np.maximum(0.25 * classes - 0.1, 0) + random.normal(0, 0.06, len(classes)), 0, 1)
        data = {"study": [f"study_{number}" for number in range(len(classes))], "category": CATEGORIES[classes]}
        frames.append(pd.DataFrame({"model": model, **data, "share": share}))
    return pd.concat(frames, ignore_index=True)
