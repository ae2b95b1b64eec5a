"""All slices of a set of studies in two tensors, and the batches gathered from them.

A slice stays in the types it is stored in (3 bytes a pixel, 1.6 GB for MosMedData's 2,049 slices of 512²) and becomes
float32 only as part of a batch, on the device. There are no worker processes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.slices import load_stack, stack_shape
from lesionbench.errors import UserError


class Batch(NamedTuple):
    """Slices as a model takes them.

    indices: (batch,) positions in the `SliceSet`; image: float32 (batch, channels, height, width), in units of
    `hu_scale` HU; target: float32 (batch, 1, height, width); valid: bool, same shape, False in the padding, or None
    where nothing is padded.
    """

    indices: Tensor
    image: Tensor
    target: Tensor
    valid: Tensor | None


@dataclass(frozen=True)
class SliceSet:
    """Slices of several studies, padded with air at the bottom and on the right to one size.

    images: int16 HU (slices, height, width); masks: uint8, same shape; both on `device`, or in host memory where the
    set is not `resident`. channels: (slices, channels) positions of the slices that a model sees of each, beside the
    images; extents: rows and columns (slices, 2) before padding; spacing: mm per row and column (slices, 2);
    study: (slices,) index into `studies`.
    """

    images: Tensor
    masks: Tensor
    channels: Tensor
    extents: Tensor
    spacing: Tensor
    study: Tensor
    studies: tuple[str, ...]
    preprocessing: Preprocessing
    device: torch.device
    resident: bool
    padded: bool

    def __len__(self) -> int:
        return len(self.images)

    @property
    def nbytes(self) -> int:
        return self.images.nbytes + self.masks.nbytes

    @cached_property
    def lesion(self) -> Tensor:
        """The positions (n,) of the slices with lesion, on the CPU."""
        return self.masks.flatten(1).any(dim=1).nonzero()[:, 0].cpu()


def load_slices(
    stacks: Mapping[str, str | Path],
    pad: Callable[[Iterable[tuple[int, int]]], tuple[int, int]],
    preprocessing: Preprocessing,
    device: torch.device,
    resident_limit: float,
) -> SliceSet:
    """Read the slices and masks of studies, npz files by the study's name, into one set.

    pad: from the heights and widths of slices to those that they are all padded to (`Network.padded_size`).

    The set lies on `device` if it takes no more than `resident_limit` bytes, else in host memory. Raises UserError
    where a study has no mask or no file is given.
    """
    if not stacks:
        raise UserError("No study to train on or to validate on. Give each subset of `split` one study at least.")
    shapes = [stack_shape(path) for path in stacks.values()]  # first, so that each tensor is allocated only once
    counts = [shape[0] for shape in shapes]
    size = (sum(counts), *pad(shape[1:] for shape in shapes))
    resident = 3 * math.prod(size) <= resident_limit
    storage = device if resident else torch.device("cpu")
    images = torch.full(size, preprocessing.air, dtype=torch.int16, device=storage)
    masks = torch.zeros(size, dtype=torch.uint8, device=storage)
    spacing = torch.empty((len(images), 2))
    parts = (tensor.split(counts) for tensor in (images, masks, spacing))
    for (study, path), *part in zip(stacks.items(), *parts, strict=True):
        _fill(study, path, *part)
    study_of_slice = torch.arange(len(shapes)).repeat_interleave(torch.tensor(counts))
    extents = torch.tensor([shape[1:] for shape in shapes])[study_of_slice]
    return SliceSet(
        images=images,
        masks=masks,
        channels=neighbours(counts, preprocessing.neighbours).to(storage),
        extents=extents.to(device),
        spacing=spacing.to(device),
        study=study_of_slice,
        studies=tuple(stacks),
        preprocessing=preprocessing,
        device=device,
        resident=resident,
        padded=bool((extents != torch.tensor(size[1:])).any()),
    )


def _fill(study: str, path: str | Path, images: Tensor, masks: Tensor, spacing: Tensor) -> None:
    """Write a study into its part of the tensors. Its arrays are freed before the next study is read."""
    stack = load_stack(path)
    if stack.mask is None:
        raise UserError(f"{study}: {path} holds no lesion mask, and training needs one. Annotate the study.")
    _, rows, columns = stack.image.shape
    images[:, :rows, :columns] = torch.from_numpy(stack.image)
    masks[:, :rows, :columns] = torch.from_numpy(stack.mask)
    spacing[:] = torch.as_tensor(stack.spacing[1:])


def neighbours(counts: Sequence[int], reach: int) -> Tensor:
    """Return the positions (slices, 1 + 2 × reach) of each slice's neighbours and its own in the middle.

    counts: the slices of each study. Beyond a study's first and last slice these repeat.
    """
    sizes = torch.tensor(counts)
    last = sizes.cumsum(0).repeat_interleave(sizes)[:, None] - 1
    first = last + 1 - sizes.repeat_interleave(sizes)[:, None]
    return (torch.arange(len(last))[:, None] + torch.arange(-reach, reach + 1)).clamp(first, last)


def generator(*key: int) -> torch.Generator:
    """Return a CPU generator seeded by a key such as (seed, epoch): no state to save, the same on every device."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def draw_order(slices: SliceSet, batch_size: int, foreground_share: float, random: torch.Generator) -> Tensor:
    """Return all slices in random order (n,), on the CPU; then at least a share of each batch is replaced by lesion.

    The slices with lesion that replace others come in random order too, and all of them before one comes again. As in
    nnU-Net, it is a fixed number of slices in each batch. Without any lesion nothing is replaced.
    """
    order = torch.randperm(len(slices), generator=random)
    replaced = torch.arange(len(slices)) % batch_size < math.ceil(batch_size * foreground_share - 1e-9)
    count = int(replaced.sum())
    if not count or not len(slices.lesion):
        return order
    rounds = math.ceil(count / len(slices.lesion))
    drawn = [slices.lesion[torch.randperm(len(slices.lesion), generator=random)] for _ in range(rounds)]
    order[replaced] = torch.cat(drawn)[:count]
    return order


def split_order(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut an order of slices (n,) into batches; the last may be smaller.

    A last batch of one slice joins the one before it: batch normalisation over one value a channel (one slice, as
    small as the stride) is not defined.
    """
    parts = list(order.split(batch_size))
    if batch_size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def batches(slices: SliceSet, order: Tensor, batch_size: int) -> Iterator[Batch]:
    """Yield the slices in `order` (n,), a CPU tensor, batch by batch, on the set's device."""
    if slices.resident:
        for index in split_order(order.to(slices.device), batch_size):
            image = slices.images.index_select(0, slices.channels.index_select(0, index).flatten())
            mask = slices.masks.index_select(0, index)
            yield _batch(slices, index, image, mask)
        return
    # One thread is enough: it only copies memory, outside Python's lock, and stays two batches ahead.
    with ThreadPoolExecutor(max_workers=1) as pool:
        parts = split_order(order, batch_size)
        fetched = [pool.submit(_fetch, slices, part) for part in parts[:2]]
        for step in range(len(parts)):
            index, image, mask = fetched.pop(0).result()
            fetched += [pool.submit(_fetch, slices, part) for part in parts[step + 2 : step + 3]]
            yield _batch(slices, index, image, mask)


def _fetch(slices: SliceSet, index: Tensor) -> tuple[Tensor, ...]:
    """Gather slices from host memory and send them to the device, on CUDA through pinned memory and without waiting."""
    pinned = slices.device.type == "cuda"
    gathered = [index.pin_memory() if pinned else index]
    for source, wanted in ((slices.images, slices.channels[index].flatten()), (slices.masks, index)):
        buffer = torch.empty((len(wanted), *source.shape[1:]), dtype=source.dtype, pin_memory=pinned)
        gathered.append(torch.index_select(source, 0, wanted, out=buffer))
    return tuple(tensor.to(slices.device, non_blocking=pinned) for tensor in gathered)


def _batch(slices: SliceSet, index: Tensor, image: Tensor, mask: Tensor) -> Batch:
    valid = None
    height, width = image.shape[1:]
    if slices.padded:
        rows, columns = slices.extents[index].unbind(1)
        inside_rows = torch.arange(height, device=slices.device) < rows[:, None]
        inside_columns = torch.arange(width, device=slices.device) < columns[:, None]
        valid = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    channels = image.view(len(index), -1, height, width)
    return Batch(index, slices.preprocessing.intensities(channels), mask[:, None].float(), valid)
