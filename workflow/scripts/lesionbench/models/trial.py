"""Try networks on slices of the sizes that they will get, before anything is trained."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_header
from lesionbench.data.volume import Grid, slice_spacing, to_slices
from lesionbench.errors import UserError
from lesionbench.files import write_json
from lesionbench.models.contract import check_contract
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import Network, build_network, build_without_values
from lesionbench.models.own import own_network
from lesionbench.models.padding import Size, needs_values, said, wrong_shape
from lesionbench.models.remedies import advice

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """A network as it will be trained: `training.batch_size` slices at once, in `training.precision`.

    weights: a file that its encoder starts from, where it is there already; channels: slices that it sees at a time.
    """

    entry: ModelEntry
    batch_size: int
    precision: str
    weights: str | None = None
    channels: int = 1


def read_grids(scans: Iterable[str | Path], reading: Reading) -> list[Grid]:
    """Return the grids of CTs, from their headers."""
    return [read_header(scan, reading) for scan in scans]


def slice_sizes(grids: Iterable[Grid], preprocessing: Preprocessing) -> list[Size]:
    """Return the heights and widths of the slices that networks see of CTs, each once."""
    plane = preprocessing.plane
    found = {
        (to_slices(np.broadcast_to(0, grid.shape), grid.affine, plane).shape, *slice_spacing(grid.affine, plane))
        for grid in grids
    }
    return sorted({preprocessing.seen(shape, spacing) for shape, *spacing in found})


def write_trials(trials: Mapping[str, Trial], sizes: Mapping[str, Sequence[Size]], path: str | Path) -> None:
    """Try each model on slices of its sizes and write what came of it, by model: an error, or what it is.

    An error stops nothing here, so that it stops its own model only (`verdict.pass_on`).
    """
    outcomes: dict[str, dict[str, Any]] = {}
    for model, trial in trials.items():
        logger.info("Trying %s: %s", model, trial.entry.name)
        try:
            outcomes[model] = try_network(trial, sizes[model])
        except UserError as error:
            outcomes[model] = {"error": f"models.{model}: {error}"}
    write_json(path, outcomes)


def try_network(trial: Trial, sizes: Sequence[Size]) -> dict[str, Any]:
    """Train a network on slices of the largest size and predict one of the smallest; nothing is computed.

    An own network is tried with values too (`try_own`).

    Return its number of parameters, its stride, and the sizes of slices before and after padding.

    Raises UserError where it cannot be built, or does not turn slices into logits of the same size with gradients; it
    says what to write instead.
    """
    rows, columns = zip(*sizes, strict=True)
    ends = [(max(rows), max(columns)), (min(rows), min(columns))]
    try:
        network = _build(trial.entry, trial.weights, trial.channels)
        padded = {size: network.padded_size([size]) for size in [*sizes, *ends]}
    except UserError as error:
        if "\n  " in str(error):  # it says what to write
            raise
        others = advice(trial.entry, ends[0], lambda other: _fits(other, ends, trial.channels))
        raise UserError(f"{error}{others}") from error
    passed = try_pass(network, padded[ends[0]], padded[ends[1]], trial.batch_size)
    if own_network(trial.entry.architecture):
        try_own(trial, [padded[end] for end in (ends[1:] if passed else ends)])
    elif trial.precision == "bfloat16" or network.padding.twin is None:
        _compute(build_network(trial.entry, channels=trial.channels), trial.precision)
    return {
        "parameters": network.parameters,
        "stride": network.stride,
        "slices": [{"size": size, "padded": padded[size]} for size in sizes],
    }


def try_own(trial: Trial, sizes: Sequence[Size], device: str | torch.device = "cpu") -> None:
    """Hold an own network to what is asked of it (`contract`), on padded slices of these sizes, the largest first."""
    check_contract(
        lambda: build_network(trial.entry, channels=trial.channels),
        *(sizes, trial.batch_size, trial.precision, torch.device(device)),
    )


def _fits(entry: ModelEntry, sizes: Iterable[Size], channels: int) -> None:
    """Raise UserError where a network cannot be built, or does not take slices of these sizes."""
    network = _build(entry, channels=channels)
    for size in sizes:
        network.padded_size([size])


def _build(entry: ModelEntry, weights: str | None = None, channels: int = 1) -> Network:
    """Build a network, without values where that is possible, which takes a tenth of the time."""
    return build_without_values(entry, weights, channels) or build_network(entry, weights, channels)


def try_pass(network: Network, largest: Size, smallest: Size, batch_size: int) -> bool:
    """Take a step of training and predict a slice, without values. Two slices of these sizes are known to pass.

    Return whether that was possible. Raises UserError where a pass fails or gives logits of another shape.
    """
    module = network.padding.twin
    if module is None:
        return False
    try:
        if problem := _step(module.train(), torch.zeros(batch_size, network.padding.channels, *largest, device="meta")):
            raise UserError(f"{network.name}: {problem}.")
        with torch.no_grad():
            logits = module.eval()(torch.zeros(1, network.padding.channels, *smallest, device="meta"))
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever a network raises
        if needs_values(error):
            return False
        if batch_size == 1:
            raise UserError(
                f"{network.name} cannot be trained with a batch of one slice of {largest[0]} × {largest[1]} pixels "
                f"({said(error).rstrip('.')}). Write:\n  training: {{batch_size: 2}}"
            ) from error
        raise UserError(f"{network.name}: {said(error)}.") from error
    if problem := wrong_shape(logits, (1, 1, *smallest)):
        raise UserError(f"{network.name}: in evaluation mode {problem}.")
    return True


def _step(module: nn.Module, image: torch.Tensor) -> str:
    """Go forward and backward; return what is wrong with logits or gradients, or ""."""
    logits = module(image)
    if problem := wrong_shape(logits, (len(image), 1, *image.shape[2:])):
        return problem
    if not logits.requires_grad:
        return "its logits have no gradient, so it would learn nothing"
    logits.float().sigmoid().sum().backward()
    return ""


def _compute(network: Network, precision: str) -> None:
    """Take a step of training with values, on the CPU, two slices of the smallest size that the network takes."""
    rows, columns = network.padded_size([(1, 1)])
    random = torch.Generator().manual_seed(0)
    image = 2 * torch.rand(2, network.padding.channels, rows, columns, generator=random) - 1
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            problem = _step(network.module.train(), image)
    except Exception as error:  # whatever a network raises
        problem = said(error)
    if problem:
        raise UserError(f"{network.name}: {problem}.")
