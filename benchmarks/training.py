"""Whole trainings: how they are run, their memory, the time of the paper's."""

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from benchmarks.measure import Row, Setting
from benchmarks.recipe import FULL_SIZE, FULL_SLICES, REPOSITORY, cut, preprocessing, trained, write_study
from lesionbench.data.slices import SliceStack, save_stack
from lesionbench.experiment.rows import Trained
from lesionbench.training import loop as training
from lesionbench.training.learner import FoldData
from lesionbench.training.recipe import Recipe

# The paper's stopping epochs (section 6.2) and parts (Table 3.1: 1,428 and 212 axial slices; here 41 a study).
PAPER_EPOCHS = {"unet": 61, "unet_vgg19": 32, "unet_resnet34": 22, "unet_mobilenet_v2": 29}
TRAIN_STUDIES, VALIDATION_STUDIES, ANNOTATED_STUDIES = 35, 5, 50


def write_stacks(folder: Path, stack: SliceStack, copies: int) -> dict[str, Path]:
    """Write a stack once, and return as many studies' names for the one file."""
    folder.mkdir(parents=True)
    first, *others = [folder / f"study_{number:04d}.npz" for number in range(copies)]
    save_stack(stack, first)
    for path in others:
        path.symlink_to(first)
    return {path.stem: path for path in (first, *others)}


def full_length(recipe: Recipe, device: torch.device, epochs: int) -> Recipe:
    """Return a recipe that trains on a device for exactly `epochs` epochs."""
    return replace(recipe, device=device.type, max_epochs=epochs, patience=epochs)


def run_quietly(
    row: Trained, device: torch.device, epochs: int, data: FoldData, folder: Path, after_epoch: Callable[[], None]
) -> None:
    """Call `train` without its progress bar, and `after_epoch` where it would report an epoch, which it does last."""
    silent, instead = contextlib.redirect_stderr(io.StringIO()), lambda *_: after_epoch()
    with silent, mock.patch.object(training, "report", instead):
        training.train(row.entry, full_length(row.recipe, device, epochs), data, folder)


def memory(setting: Setting) -> Iterator[Row]:
    """Peak memory of `train` on as many slices as MosMedData has.

    Network and batch hardly count: two numbers (`benchmarks.peak`) and a slice. Most studies are for validation, which
    is quicker.
    """
    (study,) = write_study(setting.folder / "phantom")
    stacks = write_stacks(setting.folder / "stacks", cut(study, "axial"), ANNOTATED_STUDIES)
    files = [(study, str(path)) for study, path in stacks.items()]
    row = trained("unet")
    arguments = {
        "model": asdict(row.entry),
        "recipe": asdict(full_length(replace(row.recipe, batch_size=1), setting.device, epochs=1)),
        "train": dict(files[:1]),
        "validation": dict(files[1:]),
        "preprocessing": asdict(preprocessing("axial")),
        "folder": str(setting.folder / "run"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peak"],
        cwd=REPOSITORY, input=json.dumps(arguments), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    slices = ANNOTATED_STUDIES * FULL_SLICES
    what = f"host memory of train on {slices:,} slices of {FULL_SIZE}×{FULL_SIZE}, Python and PyTorch included"
    yield Row("memory", what, "GB", [int(done.stdout) / 1e9], at_most=2.5)


def paper(setting: Setting) -> Iterator[Row]:
    """The paper's whole training, four networks, from a few epochs of each; on a GPU only."""
    if not setting.full_size:
        return
    (study,) = write_study(setting.folder / "phantom")
    stack = cut(study, "axial")
    stacks = write_stacks(setting.folder / "stacks", stack, TRAIN_STUDIES + VALIDATION_STUDIES)
    seconds = {model: whole_training(setting, model, stacks) for model in PAPER_EPOCHS}
    yield Row(
        "paper",
        "the paper's training: four networks, 61, 32, 22 and 29 epochs, validation and the writing of states included",
        "min",
        [sum(times) / 60 for times in zip(*seconds.values(), strict=True)],
        at_most=10,
        note=", ".join(f"{model} {np.median(times) / 60:.1f} min" for model, times in seconds.items()),
        seconds=seconds,
    )


def whole_training(setting: Setting, model: str, stacks: Mapping[str, Path]) -> list[float]:
    """Return the seconds of a whole training as each measured epoch but the first predicts them."""
    files = list(stacks.items())
    data = FoldData(dict(files[VALIDATION_STUDIES:]), dict(files[:VALIDATION_STUDIES]), preprocessing("axial"))
    epochs, folder = setting.repetitions + 1, setting.folder / model
    times = [time.perf_counter()]
    run_quietly(trained(model), setting.device, epochs, data, folder, lambda: times.append(time.perf_counter()))
    first, *others = np.diff(times).tolist()
    return [first + (PAPER_EPOCHS[model] - 1) * seconds for seconds in others]
