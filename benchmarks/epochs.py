"""An epoch of training against other ways of feeding the same network, and against what the card can do."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.feeding import (
    WORKERS,
    Learner,
    cached_batches,
    loaded_batches,
    make_learner,
    resident_batches,
    synchronize,
    write_slices,
)
from benchmarks.measure import Row, Setting, alternate, ratios
from benchmarks.recipe import FULL_SIZE, FULL_SLICES, cut, preprocessing, trained, write_study
from benchmarks.training import TRAIN_STUDIES, run_quietly, write_stacks
from lesionbench.data.slices import SliceStack
from lesionbench.experiment.rows import Trained
from lesionbench.training.learner import FoldData
from lesionbench.training.runfile import STATE

MATRIX, PRODUCTS = 8192, 20


def axial(setting: Setting) -> Iterator[Row]:
    """Our epoch against others', on axial slices: 1,435 of 512 × 512 on a GPU, 128 of 128 × 128 on a CPU."""
    yield from epochs(setting, "axial", small=(128, 16, 8))


def coronal(setting: Setting) -> Iterator[Row]:
    """Our epoch against others', on coronal slices: 17,920 of 41 × 512 on a GPU, 256 of 20 × 128 on a CPU."""
    yield from epochs(setting, "coronal", small=(128, 20, 2))


def epochs(setting: Setting, plane: str, small: tuple[int, int, int]) -> Iterator[Row]:
    """Measure the largest and the smallest of the paper's networks on a GPU, the smallest on a CPU.

    All studies are copies of one, which no contender can make use of. `small`: size, slices and studies on a CPU.
    """
    size, slices, studies = (FULL_SIZE, FULL_SLICES, TRAIN_STUDIES) if setting.full_size else small
    (study,) = write_study(setting.folder / "phantom", size, slices)
    stack = cut(study, plane)
    for model in ("unet", "unet_mobilenet_v2") if setting.full_size else ("unet_mobilenet_v2",):
        yield from against_others(replace(setting, folder=setting.folder / model), model, stack, studies)


def against_others(setting: Setting, model: str, stack: SliceStack, studies: int) -> Iterator[Row]:
    """Measure an epoch of `train` in turn with the same network, batches and precision fed in other ways."""
    row, device = trained(model), setting.device
    learner = make_learner(row, device)
    files = write_slices(stack, setting.folder / "files", learner.network.stride) * studies
    arguments = (files, row.recipe.batch_size, device)
    ready = resident_batches(*arguments)
    others = {
        "bare loop": partial(learner.epoch, ready),
        "DataLoader": partial(learner.epoch, loaded_batches(*arguments)),
        "MONAI": partial(learner.epoch, cached_batches(*arguments)),
    }
    for epoch in others.values():
        epoch()  # warms up, starts the workers
    matrices = {"matrix products": partial(multiply, device)} if device.type == "cuda" else {}
    seconds = in_turn_with_ours(setting, row, stack, studies, others | matrices)

    name, speed = f"train/{stack.plane}/{model}", len(files) / np.median(seconds["lesionbench"])
    size = f"{len(files):,} {stack.plane} slices of {'×'.join(map(str, stack.image.shape[1:]))}"
    bars = {
        "bare loop": ("a bare loop on ready tensors", 0.95),
        "DataLoader": (f"DataLoader over compressed npz, {WORKERS} workers", 2 if setting.full_size else 1),
        "MONAI": (f"MONAI's CacheDataset and DataLoader, {WORKERS} workers", None),
    }
    for other, (way, bar) in bars.items():
        yield Row(
            f"{name} : {other}",
            f"slices/s of our epoch in those of {way}; {size}",
            "×",
            ratios(seconds, other, "lesionbench"),
            at_least=bar,
            note=f"{speed:.1f} slices/s against {len(files) / np.median(seconds[other]):.1f}",
            seconds=seconds,
        )
    if device.type == "cuda":
        yield arithmetic(f"{name} : arithmetic", learner, ready[0], len(files), seconds)


def in_turn_with_ours(
    setting: Setting,
    row: Trained,
    stack: SliceStack,
    studies: int,
    others: Mapping[str, Callable[[], float]],
) -> dict[str, list[float]]:
    """Run one training, and the other contenders in turn after each second epoch of it; return the seconds of all.

    Ours are those of the second epoch, during which the state of the first is written. They hold a validation, here of
    a single slice, and the copying of the state. The others wait until the state of the second is written.
    """
    stacks = write_stacks(setting.folder / "stacks", stack, studies)
    single = replace(stack, image=stack.image[:1], mask=None if stack.mask is None else stack.mask[:1])
    validation = write_stacks(setting.folder / "validation", single, 1)
    folder = setting.folder / "run"
    seconds: dict[str, list[float]] = {"lesionbench": []}
    times: list[float] = []

    def after_epoch() -> None:
        times.append(time.perf_counter())
        if len(times) % 2:
            return
        seconds["lesionbench"].append(times[-1] - times[-2])
        time.sleep(0.2)  # by then the write has begun
        while list(folder.glob(f".*-{STATE}")):
            time.sleep(0.05)
        for name, taken in alternate(others, 1).items():
            seconds.setdefault(name, []).extend(taken)

    data = FoldData(stacks, validation, preprocessing(stack.plane))
    run_quietly(row, setting.device, 2 * setting.repetitions, data, folder, after_epoch)
    return seconds


def multiply(device: torch.device) -> float:
    """Return the seconds of PRODUCTS products of bfloat16 matrices of 8192²: what the card can do at best."""
    matrix = torch.randn(MATRIX, MATRIX, device=device, dtype=torch.bfloat16)
    torch.mm(matrix, matrix)
    synchronize(device)
    started = time.perf_counter()
    for _ in range(PRODUCTS):
        torch.mm(matrix, matrix)
    synchronize(device)
    return time.perf_counter() - started


def arithmetic(
    name: str, learner: Learner, batch: Mapping[str, torch.Tensor], slices: int, seconds: Mapping[str, list[float]]
) -> Row:
    """Return the arithmetic of our epoch, forward and backward, as a share of the card's measured matrix rate."""
    with FlopCounterMode(display=False) as counter:
        learner.step(batch)
    needed = counter.get_total_flops() / len(batch["image"]) * slices
    ours = [needed / taken for taken in seconds["lesionbench"]]
    card = [PRODUCTS * 2 * MATRIX**3 / taken for taken in seconds["matrix products"]]
    return Row(
        name,
        "arithmetic of our epoch in that of bfloat16 products of 8192² matrices",
        "×",
        [a / b for a, b in zip(ours, card, strict=True)],
        note=f"{np.median(ours) / 1e12:.0f} of {np.median(card) / 1e12:.0f} TFLOP/s",
        seconds=seconds,
    )
