"""Optimisers and schedules do what their sources write, step by step."""

import math
from dataclasses import replace

import pytest
import torch

from lesionbench.training.optimizer import make_optimizer, make_schedule
from tiny import RECIPE


def rates(recipe):
    """The learning rate of each epoch."""
    optimizer = make_optimizer(torch.nn.Linear(2, 1), recipe)
    schedule = make_schedule(optimizer, recipe)
    found = []
    for _ in range(recipe.max_epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def written_out(schedule, warmup, epochs, epoch):
    """The learning rate of an epoch, from 0, as a share of the full one, by its formula."""
    if epoch < warmup:
        return (epoch + 1) / (warmup + 1)
    done = (epoch - warmup) / (epochs - warmup)
    return {"none": 1, "cosine": (1 + math.cos(math.pi * done)) / 2, "polynomial": (1 - done) ** 0.9}[schedule]


@pytest.mark.parametrize("schedule", ["none", "cosine", "polynomial"])
@pytest.mark.parametrize("warmup", [0, 1, 3, 9])
def test_the_learning_rate_rises_in_the_warmup_and_then_follows_its_formula(schedule, warmup):
    recipe = replace(RECIPE, learning_rate=0.02, schedule=schedule, warmup_epochs=warmup, max_epochs=10)
    expected = [0.02 * written_out(schedule, warmup, 10, epoch) for epoch in range(10)]
    assert rates(recipe) == pytest.approx(expected)
    assert min(rates(recipe)) > 0


def test_the_paper_s_learning_rate_stays_exactly():
    assert rates(RECIPE) == [RECIPE.learning_rate] * RECIPE.max_epochs


def adam(weight, gradient, state, rate, decay):
    return adaptive(weight, gradient + decay * weight, state, rate)


def adamw(weight, gradient, state, rate, decay):
    return adaptive(weight * (1 - rate * decay), gradient, state, rate)


def adaptive(weight, gradient, state, rate):
    state["n"] = state.get("n", 0) + 1
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
    mean, square = state["m"] / (1 - 0.9 ** state["n"]), state["v"] / (1 - 0.999 ** state["n"])
    return weight - rate * mean / (math.sqrt(square) + 1e-8)


def sgd(weight, gradient, state, rate, decay):
    gradient += decay * weight
    state["m"] = 0.99 * state["m"] + gradient if "m" in state else gradient
    return weight - rate * (gradient + 0.99 * state["m"])


@pytest.mark.parametrize("rule", [adam, adamw, sgd])
@pytest.mark.parametrize("decay", [0, 0.1])
def test_an_optimiser_takes_the_steps_that_its_source_writes(rule, decay):
    """The loss is w⁴ / 4, so the gradient w³."""
    module = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.constant_(module.weight, 0.7)
    recipe = replace(RECIPE, optimizer=rule.__name__, weight_decay=decay, learning_rate=0.05)
    optimizer = make_optimizer(module, recipe)
    weight, state = 0.7, {}
    for _ in range(5):
        optimizer.zero_grad()
        (module.weight**4 / 4).sum().backward()
        optimizer.step()
        weight = rule(weight, weight**3, state, 0.05, decay)
        assert module.weight.item() == pytest.approx(weight, rel=1e-6)
