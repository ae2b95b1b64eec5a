"""Other ways of feeding a network: from tensors on the device, by PyTorch's DataLoader, by MONAI's cache.

A batch is a mapping of `image` and `mask`, float32 (batch, 1, height, width), image in units of `hu_scale`.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.recipe import preprocessing
from lesionbench.data.preprocessing import padded_size
from lesionbench.data.slices import SliceStack
from lesionbench.experiment.rows import Trained
from lesionbench.models.networks import Network, build_network
from lesionbench.training.device import autocast, place
from lesionbench.training.loss import dice_loss

Batch = Mapping[str, Tensor]
WORKERS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Learner:
    """A network in training, set up as `lesionbench.training.loop` does it."""

    network: Network
    optimizer: torch.optim.Optimizer
    amp: torch.autocast
    device: torch.device

    def step(self, batch: Batch) -> Tensor:
        """Take one step and return the loss, on the device."""
        image, mask = (batch[key].to(self.device, non_blocking=True) for key in ("image", "mask"))
        with self.amp:
            logits = self.network.module(image)
        loss = dice_loss(logits, mask)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def epoch(self, batches: Iterable[Batch]) -> float:
        """Take a step a batch and return the seconds, the wait for the device included."""
        synchronize(self.device)
        started = time.perf_counter()
        torch.stack([self.step(batch) for batch in batches]).cpu()
        synchronize(self.device)
        return time.perf_counter() - started


def make_learner(row: Trained, device: torch.device) -> Learner:
    """Return a learner of a model, with random weights."""
    torch.backends.cudnn.benchmark = True
    network = build_network(row.entry)
    module = place(network.module, device)
    optimizer = torch.optim.Adam(module.parameters(), lr=row.recipe.learning_rate, fused=True)
    return Learner(network, optimizer, autocast(device, row.recipe.precision), device)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def write_slices(stack: SliceStack, folder: Path, stride: int) -> list[Path]:
    """Write each slice as a compressed npz, already padded to the stride, so that the other ways need not pad."""
    assert stack.mask is not None
    height, width = stack.image.shape[1:]
    rows, columns = padded_size([(height, width)], stride)
    margins = ((0, rows - height), (0, columns - width))
    air = preprocessing(stack.plane).air
    folder.mkdir(parents=True)
    paths = [folder / f"{number:04d}.npz" for number in range(len(stack.image))]
    for path, image, mask in zip(paths, stack.image, stack.mask, strict=True):
        np.savez_compressed(path, image=np.pad(image, margins, constant_values=air), mask=np.pad(mask, margins))
    return paths


class SliceFiles(Dataset):
    """Slices read from their files each time they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Batch:
        with np.load(self.paths[number]) as arrays:
            image, mask = torch.from_numpy(arrays["image"]), torch.from_numpy(arrays["mask"])
        return {"image": image[None].float() / 1000, "mask": mask[None].float()}


def resident_batches(paths: Sequence[Path], batch_size: int, device: torch.device) -> list[Batch]:
    """Return all batches, ready on the device: nothing is left but the network."""
    slices = SliceFiles(paths)
    items = [slices[number] for number in range(len(slices))]
    image, mask = (torch.stack([item[key] for item in items]).to(device) for key in ("image", "mask"))
    return [{"image": a, "mask": b} for a, b in zip(image.split(batch_size), mask.split(batch_size), strict=True)]


def loaded_batches(paths: Sequence[Path], batch_size: int, device: torch.device) -> Iterable[Batch]:
    """Return the usual loader: worker processes that stay, files decompressed and cast in each epoch."""
    return DataLoader(SliceFiles(paths), batch_size, **_loading(device))


def cached_batches(paths: Sequence[Path], batch_size: int, device: torch.device) -> Iterable[Batch]:
    """Return MONAI's loader over its cache, which is filled here, before any epoch."""
    from monai.data import CacheDataset
    from monai.data import DataLoader as MonaiLoader
    from monai.transforms import Compose, EnsureChannelFirstd, EnsureTyped, LoadImaged, ScaleIntensityRanged

    keys = ("image", "mask")
    transform = Compose(
        [
            *(LoadImaged(key, reader="NumpyReader", npz_keys=key) for key in keys),
            EnsureChannelFirstd(keys, channel_dim="no_channel"),
            ScaleIntensityRanged("image", a_min=-1000, a_max=1000, b_min=-1, b_max=1, clip=True),
            EnsureTyped(keys, dtype=torch.float32, track_meta=False),
        ]
    )
    data = [dict.fromkeys(keys, str(path)) for path in paths]
    cache = CacheDataset(data, transform, num_workers=WORKERS, progress=False)
    return MonaiLoader(cache, batch_size=batch_size, **_loading(device))


def _loading(device: torch.device) -> dict[str, Any]:
    pinned = device.type == "cuda"
    return {"shuffle": True, "num_workers": WORKERS, "persistent_workers": True, "pin_memory": pinned}
