"""A state is taken where it fits the training, for every kind of optimiser and schedule, and refused where not."""

import copy
import io
from dataclasses import replace

import pytest
import torch

from lesionbench.training.learner import FoldData, prepare
from lesionbench.training.loop import one_epoch
from lesionbench.training.resumption import check_state
from tiny import MODEL, PREPROCESSING, RECIPE, by_study, write_stack

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    return FoldData(by_study([write_stack(folder, 1)]), by_study([write_stack(folder, 2)]), PREPROCESSING)


def learner_of(data, **changes):
    return prepare(MODEL, replace(RECIPE, **changes), data, 0, CPU)


def state_of(learner):
    """What a file of the state after an epoch holds."""
    state = one_epoch(learner, lambda: None)
    file = io.BytesIO()
    torch.save(state, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "sgd", "schedule": "polynomial", "warmup_epochs": 1},
        {"optimizer": "adamw", "schedule": "cosine", "ema_decay": 0.9, "weight_decay": 0.1},
    ],
)
def test_a_state_of_the_same_training_is_taken(data, changes):
    state = state_of(learner_of(data, **changes))
    learner = learner_of(data, **changes)
    check_state(learner, state)
    learner.resume(state)
    assert len(learner.history) == 1 and learner.goes_on


@pytest.fixture(scope="module")
def saved(data):
    return state_of(learner_of(data))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("weights",), None, "it has no weights"),
        (("weights", "head.weight"), torch.zeros(3), r"weights\.head\.weight is not of the shape"),
        (("weights", "head.weight"), "text", r"weights\.head\.weight is not of the shape"),
        (("best_weights",), {}, "best_weights has other parts"),
        (("average",), {}, "average is of another type"),
        (("schedule", "last_epoch"), float("inf"), r"schedule\.last_epoch is no number"),
        (("schedule", "last_epoch"), None, "schedule has other parts"),
        (("optimizer", "param_groups"), [], r"optimizer\.param_groups has another length"),
        (("optimizer", "param_groups", 0, "weight_decay"), 0.5, "optimizer has another weight_decay"),
        (("optimizer", "state", 0, "exp_avg"), torch.zeros(2, 2), r"optimizer\.state\.0\.exp_avg does not fit"),
        (("optimizer", "state", 0, "step"), None, r"optimizer\.state has other parts"),
        (("history",), [], "its history has no row for each epoch"),
        (("history", 0, "epoch"), 7, "row 1 of its history is of another epoch"),
        (("history", 0, "validation_loss"), float("nan"), r"history\.1\.validation_loss is no number"),
        (("resumed",), -1, "resumed is -1"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(data, saved, place, value, said):
    state = copy.deepcopy(saved)
    holder = state
    for key in place[:-1]:
        holder = holder[key]
    if value is None:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    with pytest.raises(ValueError, match=said):
        check_state(learner_of(data), state)
