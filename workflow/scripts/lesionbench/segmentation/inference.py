"""From a finished training and a CT to a lesion mask on the CT's own grid."""

from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad

from lesionbench.data.slices import SliceStack, stack_slices
from lesionbench.data.volume import Grid, from_slices, read_ct, write_mask
from lesionbench.errors import UserError
from lesionbench.models.networks import build_model, model_stride
from lesionbench.training.batches import air_value, padded_size
from lesionbench.training.device import autocast, choose_device, explain_out_of_memory, place
from lesionbench.training.record import read_run


@dataclass(frozen=True)
class Predictor:
    """The network of a finished training on a device, and the record (run.json) that says how it was made."""

    network: nn.Module
    record: dict[str, Any]
    device: torch.device


def load_run(folder: str | Path, device: str = "auto") -> Predictor:
    """Rebuild the network of a run from its run.json and weights.safetensors.

    Raises UserError where a file is missing or damaged, the two do not fit, or there is no such device.
    """
    weights, record = read_run(Path(folder))
    network = build_model(record["model"])
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = shorten(str(error).splitlines()[1], 200, placeholder=" …")
        raise UserError(f"{folder}: the weights do not fit the model of run.json ({reason}). Train again.") from error
    target = choose_device(device)
    return Predictor(place(network, target).eval(), record, target)


@torch.inference_mode()
def predict_stack(predictor: Predictor, stack: SliceStack, threshold: float) -> np.ndarray:
    """Return the mask (slices, height, width), uint8: 1 where the lesion's probability is at least `threshold`."""
    training, preprocessing = predictor.record["training"], predictor.record["preprocessing"]
    height, width = stack.image.shape[1:]
    rows, columns = padded_size(height, width, model_stride(predictor.record["model"]))
    margins = (0, columns - width, 0, rows - height)
    air = air_value(preprocessing)
    amp = autocast(predictor.device, training["precision"])
    masks = []
    with explain_out_of_memory(predictor.device, "Free its memory, or predict with the device cpu."):
        for part in torch.from_numpy(stack.image).split(training["batch_size"]):
            image = pad(part.to(predictor.device), margins, value=air)[:, None].float() / preprocessing["hu_scale"]
            with amp:
                logits = predictor.network(image)
            masks.append(logits.float().sigmoid()[:, 0, :height, :width] >= threshold)
        return torch.cat(masks).byte().cpu().numpy()


def write_prediction(predictor: Predictor, stack: SliceStack, threshold: float, path: str | Path) -> float:
    """Predict a study, write its mask as NIfTI on the source's grid and return the lesion volume in ml."""
    mask = from_slices(predict_stack(predictor, stack, threshold), stack.affine, stack.plane)
    write_mask(path, mask, stack.affine)
    return int(mask.sum(dtype=np.int64)) * Grid(mask.shape, stack.affine).voxel_ml


def segment(predictor: Predictor, ct: str | Path, mask: str | Path, threshold: float = 0.5) -> float:
    """Segment the CT of a NIfTI file as `write_prediction` does a study's slices; return the lesion volume in ml."""
    preprocessing = predictor.record["preprocessing"]
    name = Path(ct).name.partition(".")[0]
    stack = stack_slices(name, read_ct(ct), None, preprocessing["plane"], preprocessing["hu_window"])
    return write_prediction(predictor, stack, threshold, mask)
