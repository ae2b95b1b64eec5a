"""From a finished training and a CT to a lesion mask on the CT's own grid."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import shorten

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lesionbench.data.reading import AS_IS, Reading, scan_stem
from lesionbench.data.scans import read_ct
from lesionbench.data.slices import SliceStack, stack_slices
from lesionbench.data.volume import Volume, from_slices, to_slices
from lesionbench.errors import UserError
from lesionbench.models.networks import Network, build_network, build_without_values
from lesionbench.models.operations import Area
from lesionbench.models.own import trusted_entry
from lesionbench.models.padding import Size, said
from lesionbench.models.partial import PartialNetwork
from lesionbench.progress import Advance, progress
from lesionbench.segmentation.operating_point import write_lesion
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.segmentation.region import SUSPECT, Region
from lesionbench.training.batches import neighbours
from lesionbench.training.device import autocast, choose_device, place, uses_bfloat16
from lesionbench.training.memory import explain_out_of_memory
from lesionbench.training.record import Record, read_run
from lesionbench.training.resampling import find_frame
from lesionbench.words import first_few

logger = logging.getLogger(__name__)

DEFAULT = OperatingPoint()
TRAINING = "training"


@dataclass(frozen=True)
class Predictor:
    """The network of a finished training on a device, and the record (run.json) that says how it was made.

    mirroring: whether it predicts mirror images too; precision: float32, bfloat16, or `training` for that of the
    training; fast: whether a CPU computes by `models.partial`, which differs by rounding.
    """

    network: Network
    record: Record
    device: torch.device
    mirroring: bool = False
    precision: str = TRAINING
    fast: bool = False
    _partial: dict[Size, PartialNetwork | None] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def computes_in(self) -> str:
        """float32 or bfloat16: what it computes in on its device."""
        wanted = self.record.recipe.precision if self.precision == TRAINING else self.precision
        return "bfloat16" if uses_bfloat16(self.device, wanted) else "float32"

    def partial(self, size: Size) -> PartialNetwork | None:
        """Return what computes parts of slices of a padded size; None where only the network itself can."""
        if not self.fast or self.device.type != "cpu":
            return None
        if size not in self._partial:
            dtype = torch.bfloat16 if self.computes_in == "bfloat16" else torch.float32
            try:
                self._partial[size] = PartialNetwork(self.network.module, self.network.channels, size, dtype)
            except Exception as error:  # whatever torch.export raises, and a network of the user's own
                logger.info("%s computes whole slices (%s).", self.network.name, said(error))
                self._partial[size] = None
        return self._partial[size]


def load_run(
    folder: str | Path,
    device: str = "auto",
    mirroring: bool = False,
    code: Sequence[str] | None = (),
    precision: str = TRAINING,
    fast: bool = False,
) -> Predictor:
    """Rebuild the network of a run from its run.json and weights.safetensors.

    code: the files and packages that may be executed where the network is a user's own (`models.own.trusted_entry`):
    none, unless the caller says so; None is for a workflow, whose configuration names them. precision, fast: see
    `Predictor`.

    Raises UserError where a file is missing or damaged, the two do not fit, there is no such device, or the network's
    code is not trusted or has changed.
    """
    weights, record = read_run(Path(folder))
    entry = trusted_entry(record.model, record.contents.get("model_code"), code, folder)
    channels = record.preprocessing.channels
    try:
        # What run.json claims takes memory only where the weights bear it out.
        if twin := build_without_values(entry, channels=channels):
            _check_shapes(twin.module, weights)
        network = build_network(entry, channels=channels)
        network.module.load_state_dict(weights)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    except RuntimeError as error:
        reason = shorten(str(error).splitlines()[-1], 200, placeholder=" …")
        raise UserError(f"{folder}: the weights do not fit the model of run.json ({reason}). Train again.") from error
    target = choose_device(device, "training.device" if code is None else "--device")
    place(network.module, target).eval()
    return Predictor(network, record, target, mirroring, precision, fast)


def _check_shapes(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError where weights are not those of a module, which may be on the meta device."""
    wanted = module.state_dict()
    differing = [name for name in wanted if name not in weights or weights[name].shape != wanted[name].shape]
    if names := differing or sorted(weights.keys() - wanted.keys()):
        raise RuntimeError(f"{len(names)} of them: {first_few(names, 3)}")


@torch.inference_mode()
def predict_stack(
    predictor: Predictor,
    stack: SliceStack,
    lungs: np.ndarray | None = None,
) -> np.ndarray:
    """Return the probability of lesion (slices, height, width), float32.

    It is on the study's own grid: where the network sees resampled or cropped slices, the probabilities are led back.
    lungs: (slices, height, width), not 0 inside: lesions are looked for around them (`region`), and what is further
    away has the probability 0; None looks everywhere.
    """
    preprocessing = predictor.record.preprocessing
    frame = find_frame(stack, preprocessing)
    slices = _Slices(predictor, frame.cut(stack.image))
    region = None
    if lungs is not None:
        inside = frame.cut((lungs > 0).astype(np.uint8))
        region = Region.around_lungs(inside, frame.spacing(stack.spacing))
    with (
        explain_out_of_memory(predictor.device, "Free its memory, or predict with the device cpu."),
        progress("slice", len(slices.image), stack.study) as advance,
    ):
        found = _around(slices, region, advance) if region else _everywhere(slices, advance)
        return (frame.restore(found) if frame.changes else found).numpy()


def _everywhere(slices: "_Slices", advance: Advance) -> Tensor:
    found = torch.empty(slices.image.shape)
    for part in slices.parts(0, len(found)):
        found[part] = slices.probability(part)
        advance(part.stop - part.start)
    return found


def _around(slices: "_Slices", region: Region, advance: Advance) -> Tensor:
    """Return probabilities (slices, rows, columns) in a region, and where a lesion reaches its edge, beyond."""
    found = torch.zeros(slices.image.shape)
    count, size = len(found), slices.predictor.record.recipe.batch_size

    wide = False  # whether the part before reached the edge: then this one may, and is computed whole at once

    def fill(part: slice) -> None:
        nonlocal wide
        rows, columns = area = region.area(part)
        whole = slices.probability(part) if wide else None
        inside = slices.probability(part, area) if whole is None else whole[:, slice(*rows), slice(*columns)]
        wide = _reaches_edge(inside, area, found.shape)
        if wide:
            found[part] = slices.probability(part) if whole is None else whole
        else:
            found[part, slice(*rows), slice(*columns)] = inside
        advance(part.stop - part.start)

    start, stop = region.slices
    for part in slices.parts(start, stop):
        fill(part)
    while start > 0 and found[start].max() >= SUSPECT:
        start = max((end := start) - size, 0)
        fill(slice(start, end))
    while stop < count and found[stop - 1].max() >= SUSPECT:
        stop = min((begin := stop) + size, count)
        fill(slice(begin, stop))
    if rest := count - (stop - start):
        advance(rest)
    return found


def _reaches_edge(probability: Tensor, area: Area, shape: Sequence[int]) -> bool:
    """Say whether a lesion may go on beyond an area, at an edge that is not the slice's own."""
    (top, bottom), (left, right) = area
    edges = [(top > 0, probability[:, 0]), (bottom < shape[1], probability[:, -1])]
    edges += [(left > 0, probability[..., 0]), (right < shape[2], probability[..., -1])]
    return any(inner and bool((edge >= SUSPECT).any()) for inner, edge in edges)


@dataclass(frozen=True)
class _Slices:
    """The slices that a network sees, int16 HU (slices, rows, columns), and who predicts them."""

    predictor: Predictor
    image: Tensor

    def parts(self, start: int, stop: int) -> list[slice]:
        """Return batches of slices."""
        size = self.predictor.record.recipe.batch_size
        return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]

    @cached_property
    def size(self) -> Size:
        """Rows and columns after padding."""
        wanted = self.predictor.record.preprocessing.size or (self.image.shape[1], self.image.shape[2])
        return self.predictor.network.padded_size([wanted])

    @cached_property
    def channels(self) -> Tensor:
        return neighbours([len(self.image)], self.predictor.record.preprocessing.neighbours)

    def probability(self, part: slice, area: Area | None = None) -> Tensor:
        """Return the probability (slices, rows, columns), on the CPU, of an area of some slices; None: of all."""
        rows, columns = area = area or ((0, self.image.shape[1]), (0, self.image.shape[2]))
        partial = self.predictor.partial(self.size)
        if partial:
            found = [self._predicted(slice(one, one + 1), partial, area) for one in range(part.start, part.stop)]
            return torch.cat(found)
        whole = self._predicted(part, None, area)
        return whole[:, slice(*rows), slice(*columns)].cpu()

    def _predicted(self, part: slice, partial: PartialNetwork | None, area: Area) -> Tensor:
        """Return the probability of slices: of an area as a `PartialNetwork` computes it, of all by the network."""
        predictor, preprocessing = self.predictor, self.predictor.record.preprocessing
        height, width = self.image.shape[1:]
        margins = (0, self.size[1] - width, 0, self.size[0] - height)
        hu = pad(self.image[self.channels[part]].to(predictor.device), margins, value=preprocessing.air)
        image = preprocessing.intensities(hu)
        if partial:
            return _probability_of_part(partial, image, area, predictor.mirroring)[:, 0]
        probability = mirrored_probability if predictor.mirroring else probability_of
        with autocast(predictor.device, predictor.computes_in):
            return probability(predictor.network.module, image)[:, 0]


def _probability_of_part(partial: PartialNetwork, image: Tensor, area: Area, mirroring: bool) -> Tensor:
    """Return the probability of lesion (1, 1, rows, columns) of an area, as `mirrored_probability` does if asked."""
    total = torch.zeros(())
    mirrored: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3)) if mirroring else ((),)
    for axes in mirrored:
        rows, columns = (
            (image.shape[axis] - span[1], image.shape[axis] - span[0]) if axis in axes else span
            for axis, span in zip((2, 3), area, strict=True)
        )
        total = total + partial(image.flip(axes), (rows, columns)).sigmoid().flip(axes)
    return total / len(mirrored)


def probability_of(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Return the probability of lesion (batch, 1, height, width), float32, that a network gives to each pixel."""
    return network(image).float().sigmoid()


def mirrored_probability(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Return the mean of the probabilities for an image and for it mirrored in rows, columns and both.

    Source: nnU-Net (Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z) predicts so by default.
    """
    total = probability_of(network, image)
    for axes in ((2,), (3,), (2, 3)):
        total += probability_of(network, image.flip(axes)).flip(axes)
    return total / 4


def predict(
    predictor: Predictor,
    stack: SliceStack,
    lungs: np.ndarray | None = None,
) -> Volume:
    """Return the probability of lesion of a study, float32, on the grid of its CT.

    lungs: on that grid, see `predict_stack`.
    """
    cut = None if lungs is None else to_slices(lungs, stack.affine, stack.plane)
    found = predict_stack(predictor, stack, cut)
    return Volume(from_slices(found, stack.affine, stack.plane), stack.affine, stack.forms)


def segment(
    predictor: Predictor,
    ct: str | Path,
    mask: str | Path,
    point: OperatingPoint = DEFAULT,
    reading: Reading = AS_IS,
) -> float:
    """Write the lesion mask of a CT of any format, on the CT's grid; return the lesion volume in ml."""
    stack = stack_slices(scan_stem(ct), read_ct(ct, reading), None, predictor.record.preprocessing)
    return write_lesion(predict(predictor, stack), point, mask)
