"""What changes the weights in a step: PyTorch's optimisers and schedules of the learning rate."""

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    PolynomialLR,
    SequentialLR,
)

from lesionbench.training.recipe import Recipe

# Source of both: nnU-Net (Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z).
MOMENTUM = 0.99
POWER = 0.9


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser that a recipe names, of all weights of a module; SGD has Nesterov's momentum."""
    weights, rate, decay = module.parameters(), recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(weights, rate, MOMENTUM, weight_decay=decay, nesterov=True, fused=True)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, rate, weight_decay=decay, fused=True)


def kept_of_weights(optimizer: torch.optim.Optimizer) -> set[str]:
    """Return what an optimiser of `make_optimizer` keeps of each weight between steps."""
    return {"momentum_buffer"} if isinstance(optimizer, torch.optim.SGD) else {"step", "exp_avg", "exp_avg_sq"}


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe) -> LRScheduler:
    """Return the schedule of the learning rate, to be stepped after each epoch.

    In each of `warmup_epochs` epochs, w, the rate rises by 1 / (w + 1) of its full value, which it has in the epoch
    after them. From there it falls along a half cosine (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983)
    or a power of the epochs that are left (Chen et al. 2018, https://doi.org/10.1109/TPAMI.2017.2699184), to reach 0
    after `max_epochs` epochs, or it stays.
    """
    warmup, falling = recipe.warmup_epochs, max(1, recipe.max_epochs - recipe.warmup_epochs)
    main: LRScheduler
    if recipe.schedule == "cosine":
        main = CosineAnnealingLR(optimizer, falling)
    elif recipe.schedule == "polynomial":
        main = PolynomialLR(optimizer, falling, POWER)
    else:
        main = ConstantLR(optimizer, factor=1)
    if not warmup:
        return main
    return SequentialLR(optimizer, [LinearLR(optimizer, 1 / (warmup + 1), total_iters=warmup), main], [warmup])
