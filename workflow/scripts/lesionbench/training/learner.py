"""A network in training: how it is set up, and its state, from which a killed training goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.optim.lr_scheduler import LRScheduler

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.errors import UserError
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import Network, build_network
from lesionbench.models.own import own_network
from lesionbench.models.trial import Trial, try_own, try_pass
from lesionbench.training.averaging import WeightAverage
from lesionbench.training.batches import SliceSet, load_slices
from lesionbench.training.checkpoint import cpu_copy
from lesionbench.training.device import place, uses_bfloat16
from lesionbench.training.early_stopping import best_epoch, patience_left
from lesionbench.training.optimizer import make_optimizer, make_schedule
from lesionbench.training.recipe import Recipe
from lesionbench.words import first_few


@dataclass(frozen=True)
class FoldData:
    """The slices of a fold's studies, npz files by the study's name, and how they were cut.

    intensity: what the numbers in the CTs were, as `data.reading.Reading` has it; for the record.
    """

    train: Mapping[str, str | Path]
    validation: Mapping[str, str | Path]
    preprocessing: Preprocessing
    fold: int = 0
    intensity: Any = "hu"


@dataclass
class Learner:
    """A network in training: what an epoch needs, and what it leaves.

    forward: the network, compiled where the recipe says so; schedule: of the learning rate, by epochs; average: the
    moving average of the weights, None where the recipe has none; history: a row an epoch; best_weights: those after
    the best epoch; resumed: how often the training went on after a kill.
    """

    recipe: Recipe
    network: Network
    forward: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    average: WeightAverage | None
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
        """How many more epochs may pass without a better one."""
        return patience_left(self.history, self.recipe.patience, self.recipe.best_epoch_by)

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, whose weights are kept."""
        return best_epoch(self.history, self.recipe.best_epoch_by)

    @property
    def auxiliary(self) -> list[Tensor]:
        """The logits that the network's last forward pass left beside its result, the largest first."""
        return self.network.auxiliary

    @property
    def goes_on(self) -> bool:
        """Whether there is another epoch."""
        return len(self.history) < self.recipe.max_epochs and self.patience_left > 0

    def judged(self, image: Tensor) -> Tensor:
        """Return the logits of what is validated and kept: the average of the weights where there is one."""
        if not self.average:
            return self.forward(image)
        logits: Tensor = functional_call(self.network.module, self.average.weights, (image,))
        return logits

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what `end_epoch` returned (`resumption.check_state`)."""
        self.network.module.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.average:
            self.average.resume(state["average"])
        self.history, self.best_weights, self.resumed = state["history"], state["best_weights"], state["resumed"] + 1

    def end_epoch(self, row: dict[str, float]) -> dict[str, Any]:
        """Note an epoch, keep its weights if it is the best so far, and return the state to go on from."""
        self.history.append(row)
        self.schedule.step()
        state = self.state()
        if self.best_epoch == len(self.history):
            self.best_weights = state["average"]["weights"] if self.average else state["weights"]
        return state | {"best_weights": self.best_weights}

    def state(self) -> dict[str, Any]:
        """Return all that the training goes on from, its tensors on the CPU."""
        return {
            "weights": cpu_copy(self.network.module.state_dict()),
            "average": self.average and {"steps": self.average.steps, "weights": cpu_copy(self.average.weights)},
            "best_weights": self.best_weights,
            "optimizer": cpu_copy(self.optimizer.state_dict()),
            "schedule": cpu_copy(self.schedule.state_dict()),
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
            "best_epoch": self.best_epoch,
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
    """Build a network, initialised by `seed`, and its optimiser on a device, and load the slices of its fold.

    Raises UserError where the training or the validation studies hold no lesion at all.
    """
    torch.manual_seed(seed)
    network = build_network(model, encoder_weights, data.preprocessing.channels)
    module = place(network.module, device)
    limit = recipe.resident_limit_gb * 1e9
    slices = load_slices(data.train, network.padded_size, data.preprocessing, device, limit)
    validation = load_slices(data.validation, network.padded_size, data.preprocessing, device, limit - slices.nbytes)
    _require_lesion(slices, "training", "learn")
    _require_lesion(validation, "validation", "judge the epochs by")
    for bucket in slices.buckets:
        count, rows, columns = bucket.images.shape
        several = len(slices.buckets) > 1  # a slice alone then comes twice
        try_pass(network, (rows, columns), (rows, columns), min(recipe.batch_size, max(count, 1 + several)))
    if own_network(model.architecture):
        precision = "bfloat16" if uses_bfloat16(device, recipe.precision) else "float32"
        trial = Trial(model, recipe.batch_size, precision, channels=data.preprocessing.channels)
        rows, columns = slices.buckets[-1].images.shape[1:]
        try_own(trial, [(rows, columns)], device)
    torch.backends.cudnn.benchmark = True  # pays, because nearly all batches have one of a few shapes
    optimizer = make_optimizer(module, recipe)
    return Learner(
        recipe=recipe,
        network=network,
        forward=torch.compile(module) if recipe.compile else module,
        optimizer=optimizer,
        schedule=make_schedule(optimizer, recipe),
        average=WeightAverage(module, recipe.ema_decay) if recipe.ema_decay else None,
        slices=slices,
        validation=validation,
        seed=seed,
    )


def _require_lesion(slices: SliceSet, part: str, purpose: str) -> None:
    if not len(slices.lesion):
        cut = slices.preprocessing.spacing or slices.preprocessing.size
        also = " See too whether preprocessing.spacing or preprocessing.size leaves the lesion out." if cut else ""
        raise UserError(
            f"The masks of all {part} studies are empty ({first_few(slices.studies)}), so there is no lesion to "
            f"{purpose}. Correct the masks, or put a study with lesion into this part (key split of the config).{also}"
        )
