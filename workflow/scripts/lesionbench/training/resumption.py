"""Whether a state that a file held is one that a training can go on from: checked before anything of it is used."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lesionbench.training.optimizer import kept_of_weights

if TYPE_CHECKING:
    from lesionbench.training.learner import Learner

_MEASURED = ("epoch", "train_loss", "validation_loss", "validation_dice", "learning_rate", "seconds")


def check_state(learner: "Learner", state: Mapping[str, Any]) -> None:
    """Raise ValueError where a state does not fit a learner whose training has not begun.

    Each tensor must have the shape and type of its counterpart, each setting of optimiser and schedule the type that it
    has there, and the history a row of numbers for each epoch.
    """
    expected = learner.state()
    if missing := sorted(expected.keys() - state.keys()):
        raise ValueError(f"it has no {missing[0]}")
    weights = expected["weights"]
    _check_like(state["weights"], weights, "weights")
    _check_history(state["history"], learner.recipe.max_epochs)
    _check_like(state["best_weights"], weights, "best_weights")
    _check_like(state["average"], expected["average"], "average")
    _check_like(state["schedule"], expected["schedule"], "schedule")
    _check_optimizer(learner, state["optimizer"], expected["optimizer"])
    if not isinstance(state["resumed"], int) or state["resumed"] < 0:
        raise ValueError(f"resumed is {state['resumed']!r}")


def _check_like(found: Any, wanted: Any, place: str) -> None:
    """Raise ValueError where a value has not the type, the keys, the length or the shape of another."""
    if isinstance(wanted, Tensor):
        if not isinstance(found, Tensor) or (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(f"{place} is not of the shape {tuple(wanted.shape)} and the type {wanted.dtype}")
    elif isinstance(wanted, Mapping):
        if not isinstance(found, dict) or found.keys() != wanted.keys():
            raise ValueError(f"{place} has other parts")
        for name in wanted:
            _check_like(found[name], wanted[name], f"{place}.{name}")
    elif isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(wanted):
            raise ValueError(f"{place} has another length")
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            _check_like(one, other, f"{place}.{number}")
    elif isinstance(wanted, float | int) and not isinstance(wanted, bool):
        if isinstance(found, bool) or not isinstance(found, float | int) or not _is_finite(found):
            raise ValueError(f"{place} is no number")
    elif type(found) is not type(wanted):
        raise ValueError(f"{place} is of another type")


def _is_finite(value: float) -> bool:
    return abs(value) < 2**63 and math.isfinite(value)


def _check_history(history: Any, most: int) -> None:
    if not isinstance(history, list) or not 0 < len(history) <= most:
        raise ValueError("its history has no row for each epoch")
    for epoch, row in enumerate(history, 1):
        _check_like(row, dict.fromkeys(_MEASURED, 0.0), f"history.{epoch}")
        if row["epoch"] != epoch or row["seconds"] <= 0:
            raise ValueError(f"row {epoch} of its history is of another epoch")


def _check_optimizer(learner: "Learner", found: Any, wanted: Mapping[str, Any]) -> None:
    """Raise ValueError where groups differ in more than their rates, or what is kept of a weight does not fit it."""
    if not isinstance(found, dict) or found.keys() != wanted.keys():
        raise ValueError("optimizer has other parts")
    _check_like(found["param_groups"], wanted["param_groups"], "optimizer.param_groups")
    for one, other in zip(found["param_groups"], wanted["param_groups"], strict=True):
        if changed := [name for name in other if one[name] != other[name] and name not in ("lr", "initial_lr")]:
            raise ValueError(f"optimizer has another {changed[0]}")
    weights: Sequence[Tensor] = [weight for group in learner.optimizer.param_groups for weight in group["params"]]
    kept = found["state"]
    if not isinstance(kept, dict) or not all(isinstance(values, dict) for values in kept.values()):
        raise ValueError("optimizer.state is no mapping")
    names = {frozenset(values) for values in kept.values()}
    if not set(kept) <= set(range(len(weights))) or names - {frozenset(kept_of_weights(learner.optimizer))}:
        raise ValueError("optimizer.state has other parts")
    for number, values in kept.items():
        for name, value in values.items():
            fits = isinstance(value, Tensor) and value.is_floating_point()
            if not fits or value.shape not in ((), weights[number].shape) or (name == "step") != (value.ndim == 0):
                raise ValueError(f"optimizer.state.{number}.{name} does not fit its weight")
