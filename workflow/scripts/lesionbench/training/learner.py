"""A network in training: how it is set up, and its state, from which a killed training goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import Network, build_network
from lesionbench.models.trial import try_pass
from lesionbench.training.batches import SliceSet, load_slices
from lesionbench.training.checkpoint import cpu_copy
from lesionbench.training.device import place, uses_bfloat16
from lesionbench.training.early_stopping import best_epoch, patience_left
from lesionbench.training.recipe import Recipe


@dataclass(frozen=True)
class FoldData:
    """The slices of a fold's studies, npz files by the study's name, and how they were cut."""

    train: Mapping[str, str | Path]
    validation: Mapping[str, str | Path]
    preprocessing: Preprocessing
    fold: int = 0


@dataclass
class Learner:
    """A network in training: what an epoch needs, and what it leaves.

    forward: the network, compiled where the recipe says so; history: a row an epoch; best_weights: those after the
    epoch with the lowest validation loss; resumed: how often the training went on after a kill.
    """

    recipe: Recipe
    network: Network
    forward: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    slices: SliceSet
    validation: SliceSet
    seed: int
    history: list[dict[str, float]] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    resumed: int = 0

    @property
    def device(self) -> torch.device:
        return self.slices.device

    @property
    def patience_left(self) -> int:
        """How many more epochs may pass without a lower validation loss."""
        return patience_left(self.history, self.recipe.patience)

    @property
    def goes_on(self) -> bool:
        """Whether there is another epoch."""
        return len(self.history) < self.recipe.max_epochs and self.patience_left > 0

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned after an epoch."""
        self.network.module.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history, self.best_weights, self.resumed = state["history"], state["best_weights"], state["resumed"] + 1

    def end_epoch(self, row: dict[str, float]) -> dict[str, Any]:
        """Note an epoch, keep its weights if it is the best so far, and return the state to go on from."""
        self.history.append(row)
        weights = cpu_copy(self.network.module.state_dict())
        if best_epoch(self.history) == len(self.history):
            self.best_weights = weights
        return {
            "weights": weights,
            "best_weights": self.best_weights,
            "optimizer": cpu_copy(self.optimizer.state_dict()),
            "history": self.history.copy(),
            "resumed": self.resumed,
        }

    def describe(self) -> dict[str, Any]:
        """Return what the record says of how the training went."""
        return {
            "studies": {"train": self.slices.studies, "validation": self.validation.studies},
            "parameters": self.network.parameters,
            "precision": "bfloat16" if uses_bfloat16(self.device, self.recipe.precision) else "float32",
            "threads": torch.get_num_threads(),
            "resident": self.slices.resident,
            "epochs": len(self.history),
            "best_epoch": best_epoch(self.history),
            "resumed": self.resumed,
        }


def prepare(
    model: ModelEntry,
    recipe: Recipe,
    data: FoldData,
    seed: int,
    device: torch.device,
    encoder_weights: str | Path | None = None,
) -> Learner:
    """Build a network, initialised by `seed`, and its optimiser on a device, and load the slices of its fold."""
    torch.manual_seed(seed)
    network = build_network(model, encoder_weights)
    module = place(network.module, device)
    limit = recipe.resident_limit_gb * 1e9
    slices = load_slices(data.train, network.padded_size, data.preprocessing, device, limit)
    validation = load_slices(data.validation, network.padded_size, data.preprocessing, device, limit - slices.nbytes)
    rows, columns = slices.images.shape[1:]
    try_pass(network, (rows, columns), (rows, columns), min(recipe.batch_size, len(slices)))
    torch.backends.cudnn.benchmark = True  # pays, because all batches but the last have one shape
    optimizer = torch.optim.Adam(module.parameters(), lr=recipe.learning_rate, fused=True)
    forward = torch.compile(module) if recipe.compile else module
    return Learner(recipe, network, forward, optimizer, slices, validation, seed)
