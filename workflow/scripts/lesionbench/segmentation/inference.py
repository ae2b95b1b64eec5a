"""From a finished training and a CT to a lesion mask on the CT's own grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lesionbench.data.reading import AS_IS, Reading, scan_stem
from lesionbench.data.scans import read_ct
from lesionbench.data.slices import SliceStack, stack_slices
from lesionbench.data.volume import Volume, from_slices
from lesionbench.errors import UserError
from lesionbench.models.networks import Network, build_network, build_without_values
from lesionbench.models.own import trusted_entry
from lesionbench.segmentation.operating_point import write_lesion
from lesionbench.segmentation.point import OperatingPoint
from lesionbench.training.batches import neighbours
from lesionbench.training.device import autocast, choose_device, place
from lesionbench.training.memory import explain_out_of_memory
from lesionbench.training.record import Record, read_run
from lesionbench.training.resampling import find_frame
from lesionbench.words import first_few

DEFAULT = OperatingPoint()


@dataclass(frozen=True)
class Predictor:
    """The network of a finished training on a device, and the record (run.json) that says how it was made.

    mirroring: whether it predicts mirror images too.
    """

    network: Network
    record: Record
    device: torch.device
    mirroring: bool = False


def load_run(
    folder: str | Path, device: str = "auto", mirroring: bool = False, code: Sequence[str] | None = ()
) -> Predictor:
    """Rebuild the network of a run from its run.json and weights.safetensors.

    code: the files and packages that may be executed where the network is a user's own (`models.own.trusted_entry`):
    none, unless the caller says so; None is for a workflow, whose configuration names them.

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
    return Predictor(network, record, target, mirroring)


def _check_shapes(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError where weights are not those of a module, which may be on the meta device."""
    wanted = module.state_dict()
    differing = [name for name in wanted if name not in weights or weights[name].shape != wanted[name].shape]
    if names := differing or sorted(weights.keys() - wanted.keys()):
        raise RuntimeError(f"{len(names)} of them: {first_few(names, 3)}")


@torch.inference_mode()
def predict_stack(
    predictor: Predictor, stack: SliceStack, advance: Callable[[int], object] | None = None
) -> np.ndarray:
    """Return the probability of lesion (slices, height, width), float32.

    It is on the study's own grid: where the network sees resampled or cropped slices, the probabilities are led back.
    advance: is told how many more slices are done.
    """
    recipe, preprocessing = predictor.record.recipe, predictor.record.preprocessing
    frame = find_frame(stack, preprocessing)
    image = frame.cut(stack.image)
    height, width = image.shape[1:]
    rows, columns = predictor.network.padded_size([preprocessing.size or (height, width)])
    margins = (0, columns - width, 0, rows - height)
    amp = autocast(predictor.device, recipe.precision)
    probability = mirrored_probability if predictor.mirroring else probability_of
    channels = neighbours([len(image)], preprocessing.neighbours)
    found = torch.empty(image.shape)
    with explain_out_of_memory(predictor.device, "Free its memory, or predict with the device cpu."):
        for part, into in zip(channels.split(recipe.batch_size), found.split(recipe.batch_size), strict=True):
            hu = pad(image[part].to(predictor.device), margins, value=preprocessing.air)
            with amp:
                lesion = probability(predictor.network.module, preprocessing.intensities(hu))
            into.copy_(lesion[:, 0, :height, :width])
            if advance:
                advance(len(part))
        return (frame.restore(found) if frame.changes else found).numpy()


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


def predict(predictor: Predictor, stack: SliceStack, advance: Callable[[int], object] | None = None) -> Volume:
    """Return the probability of lesion of a study, float32, on the grid of its CT."""
    found = predict_stack(predictor, stack, advance)
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
