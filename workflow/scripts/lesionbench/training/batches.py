"""All slices of a set of studies in two tensors for each size, and the batches gathered from them.

Studies of about one size share a bucket, whose slices are all padded to one size; a batch is of one bucket. So memory
grows with the slices' own sizes, and one large study does not change that of the others. A slice stays in the types it
is stored in (3 bytes a pixel, 1.6 GB for MosMedData's 2,049 slices of 512²) and becomes float32 only as part of a
batch, on the device. There are no worker processes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.slices import load_stack, stack_shape, stack_spacing
from lesionbench.errors import UserError
from lesionbench.progress import track
from lesionbench.training.resampling import find_frame

# A study's slices have at most this many times the pixels that they would have without the others of their bucket.
PADDING_FACTOR = 2
Size = tuple[int, int]


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
class Bucket:
    """Slices of studies of about one size, padded with air at the bottom and on the right to one size.

    slices: (n,) their positions in the `SliceSet`, on the CPU; images: int16 HU (n, height, width); masks: uint8, same
    shape; channels: (n, channels) positions in the bucket of the slices that a model sees of each, beside the images;
    padded: whether any slice is.
    """

    slices: Tensor
    images: Tensor
    masks: Tensor
    channels: Tensor
    padded: bool


@dataclass(frozen=True)
class SliceSet:
    """Slices of several studies, one study after the other; a position counts them all.

    The buckets' tensors lie on `device`, or in host memory where the set is not `resident`. extents: rows and columns
    (slices, 2) before padding; spacing: mm per row and column (slices, 2); study: (slices,) index into `studies`.
    """

    buckets: tuple[Bucket, ...]
    extents: Tensor
    spacing: Tensor
    study: Tensor
    studies: tuple[str, ...]
    preprocessing: Preprocessing
    device: torch.device
    resident: bool

    def __len__(self) -> int:
        return len(self.study)

    @property
    def nbytes(self) -> int:
        return sum(bucket.images.nbytes + bucket.masks.nbytes for bucket in self.buckets)

    @cached_property
    def bucket(self) -> Tensor:
        """The number (slices,) of each slice's bucket, on the CPU."""
        return self._by_slice([torch.full_like(bucket.slices, n) for n, bucket in enumerate(self.buckets)])

    @cached_property
    def place(self) -> Tensor:
        """The position (slices,) of each slice in its bucket, beside the images."""
        places = self._by_slice([torch.arange(len(bucket.slices)) for bucket in self.buckets])
        return places.to(self.buckets[0].images.device)

    @cached_property
    def lesion(self) -> Tensor:
        """The positions (n,) of the slices with lesion, on the CPU."""
        found = self._by_slice([bucket.masks.flatten(1).any(dim=1).cpu() for bucket in self.buckets])
        return found.nonzero()[:, 0]

    def _by_slice(self, values: Sequence[Tensor]) -> Tensor:
        """Return values (n,) of each bucket in the order of all slices."""
        joined = torch.empty(len(self), dtype=values[0].dtype)
        for bucket, part in zip(self.buckets, values, strict=True):
            joined[bucket.slices] = part
        return joined


def load_slices(
    stacks: Mapping[str, str | Path],
    pad: Callable[[Iterable[Size]], Size],
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
    names, paths = tuple(stacks), list(stacks.values())
    # First, so that each tensor is allocated only once.
    shapes = [preprocessing.resampled(stack_shape(path), stack_spacing(path)) for path in paths]
    sizes = [preprocessing.size or (rows, columns) for _, rows, columns in shapes]
    extents = torch.tensor([shape[1:] for shape in shapes]).minimum(torch.tensor(sizes))
    counts = torch.tensor([shape[0] for shape in shapes])
    groups = group_sizes(sizes, pad)
    pixels = sum(math.prod(size) * int(counts[members].sum()) for size, members in groups)
    resident = 3 * pixels <= resident_limit
    storage = device if resident else torch.device("cpu")
    spacing = torch.empty((len(names), 2))
    study = torch.arange(len(names)).repeat_interleave(counts)
    buckets = []
    for size, members in groups:
        padded = bool((extents[members] != torch.tensor(size)).any())
        bucket = _air(study, members, size, preprocessing, storage, padded)
        parts = (tensor.split(counts[members].tolist()) for tensor in (bucket.images, bucket.masks))
        for n, *part in track(zip(members, *parts, strict=True), "study", len(members), "loading slices"):
            spacing[n] = _fill(names[n], paths[n], preprocessing, *part)
        buckets.append(bucket)
    return SliceSet(
        buckets=tuple(buckets),
        extents=extents[study].to(device),
        spacing=spacing[study].to(device),
        study=study,
        studies=names,
        preprocessing=preprocessing,
        device=device,
        resident=resident,
    )


def _air(
    study: Tensor, members: list[int], size: Size, preprocessing: Preprocessing, storage: torch.device, padded: bool
) -> Bucket:
    """Return the bucket of these studies, all air. `study` is each slice's index of its study."""
    slices = torch.isin(study, torch.tensor(members)).nonzero()[:, 0]
    counts = [int((study == n).sum()) for n in members]
    return Bucket(
        slices=slices,
        images=torch.full((len(slices), *size), preprocessing.air, dtype=torch.int16, device=storage),
        masks=torch.zeros((len(slices), *size), dtype=torch.uint8, device=storage),
        channels=neighbours(counts, preprocessing.neighbours).to(storage),
        padded=padded,
    )


def _fill(study: str, path: str | Path, preprocessing: Preprocessing, images: Tensor, masks: Tensor) -> Tensor:
    """Write a study into its part of a bucket's tensors and return mm per row and column.

    Its arrays are freed before the next study is read.
    """
    stack = load_stack(path)
    if stack.mask is None:
        raise UserError(f"{study}: {path} holds no lesion mask, and training needs one. Annotate the study.")
    frame = find_frame(stack, preprocessing)
    for whole, own in ((images, stack.image), (masks, stack.mask)):
        seen = frame.cut(own)
        whole[:, : seen.shape[1], : seen.shape[2]] = seen
    return torch.from_numpy(frame.spacing(stack.spacing)[1:])


def group_sizes(sizes: Sequence[Size], pad: Callable[[Iterable[Size]], Size]) -> list[tuple[Size, list[int]]]:
    """Group studies whose slices have these heights and widths; return each group's padded size and its studies.

    From the largest size to the smallest, each joins the first group in which no study's slices get more than
    PADDING_FACTOR times the pixels that they are padded to alone. So studies of one padded size are one group.
    """
    alone = {size: math.prod(pad([size])) for size in set(sizes)}
    groups: list[list[Size]] = []
    for size in sorted(alone, key=lambda size: (alone[size], size), reverse=True):
        for group in groups:
            most = PADDING_FACTOR * min(alone[member] for member in [*group, size])
            if math.prod(pad([*group, size])) <= most:
                group.append(size)
                break
        else:
            groups.append([size])
    return [(pad(group), [study for study, size in enumerate(sizes) if size in group]) for group in groups]


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

    The slices with lesion that replace others are of their bucket. They come in random order too, and all of them
    before one comes again. As in nnU-Net, it is a fixed number of slices in each batch. Without any lesion in a bucket
    nothing is replaced there. Where there are several buckets, a slice alone in its bucket comes twice, because batch
    normalisation may need two.
    """
    order = torch.randperm(len(slices), generator=random)
    share = math.ceil(batch_size * foreground_share - 1e-9)
    for number in range(len(slices.buckets)):
        places = (slices.bucket[order] == number).nonzero()[:, 0]
        places = places[torch.arange(len(places)) % batch_size < share]
        lesion = slices.lesion[slices.bucket[slices.lesion] == number] if share else slices.lesion[:0]
        if len(places) and len(lesion):
            rounds = math.ceil(len(places) / len(lesion))
            drawn = [lesion[torch.randperm(len(lesion), generator=random)] for _ in range(rounds)]
            order[places] = torch.cat(drawn)[: len(places)]
    alone = [
        bucket.slices for bucket in slices.buckets if len(bucket.slices) == 1 < min(batch_size, len(slices.buckets))
    ]
    return torch.cat([order, *alone])


def split_order(order: Tensor, batch_size: int, buckets: Tensor | None = None) -> list[Tensor]:
    """Cut an order of slices (n,) into batches, each of one bucket; the last of a bucket may be smaller.

    buckets: the number of each slice's bucket; None where there is one. A batch comes where the last of its slices
    stands in the order. A last batch of one slice joins the one before it: batch normalisation over one value a
    channel (one slice, as small as the stride) is not defined.
    """
    batches: list[Tensor] = []  # of places in the order
    of_place = torch.zeros_like(order) if buckets is None else buckets[order]
    for number in of_place.unique():
        parts = list((of_place == number).nonzero()[:, 0].split(batch_size))
        if batch_size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]
        batches += parts
    return [order[places] for places in sorted(batches, key=lambda places: int(places[-1]))]


def batches(slices: SliceSet, order: Tensor, batch_size: int) -> Iterator[Batch]:
    """Yield the slices in `order` (n,), a CPU tensor, batch by batch, on the set's device."""
    parts = split_order(order, batch_size, slices.bucket)
    buckets = [slices.buckets[slices.bucket[part[0]]] for part in parts]
    if slices.resident:
        on_device = torch.cat(parts).to(slices.device).split([len(part) for part in parts])
        for bucket, index in zip(buckets, on_device, strict=True):
            place = slices.place.index_select(0, index)
            image = bucket.images.index_select(0, bucket.channels.index_select(0, place).flatten())
            mask = bucket.masks.index_select(0, place)
            yield _batch(slices, bucket, index, image, mask)
        return
    # One thread is enough: it only copies memory, outside Python's lock, and stays two batches ahead.
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = zip(buckets, parts, strict=True)
        fetched = [pool.submit(_fetch, slices, *following) for following in islice(waiting, 2)]
        for bucket in buckets:
            index, image, mask = fetched.pop(0).result()
            fetched += [pool.submit(_fetch, slices, *following) for following in islice(waiting, 1)]
            yield _batch(slices, bucket, index, image, mask)


def _fetch(slices: SliceSet, bucket: Bucket, index: Tensor) -> tuple[Tensor, ...]:
    """Gather slices from host memory and send them to the device, on CUDA through pinned memory and without waiting."""
    pinned = slices.device.type == "cuda"
    gathered = [index.pin_memory() if pinned else index]
    place = slices.place[index]
    for source, wanted in ((bucket.images, bucket.channels[place].flatten()), (bucket.masks, place)):
        buffer = torch.empty((len(wanted), *source.shape[1:]), dtype=source.dtype, pin_memory=pinned)
        gathered.append(torch.index_select(source, 0, wanted, out=buffer))
    return tuple(tensor.to(slices.device, non_blocking=pinned) for tensor in gathered)


def _batch(slices: SliceSet, bucket: Bucket, index: Tensor, image: Tensor, mask: Tensor) -> Batch:
    valid = None
    height, width = image.shape[1:]
    if bucket.padded:
        rows, columns = slices.extents[index].unbind(1)
        inside_rows = torch.arange(height, device=slices.device) < rows[:, None]
        inside_columns = torch.arange(width, device=slices.device) < columns[:, None]
        valid = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    channels = image.view(len(index), -1, height, width)
    return Batch(index, slices.preprocessing.intensities(channels), mask[:, None].float(), valid)
