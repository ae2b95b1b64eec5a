"""An exponential moving average of a network's weights, which is validated, kept and used in their place."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """The moving average of a network's weights and of the statistics of its batch normalisation.

    `torch.optim.swa_utils.AveragedModel` would wait for the GPU in each step; its averaging function is used here.

    weights: as the network's `state_dict`; steps: how many have been averaged.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.weights = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    def update(self, module: nn.Module) -> None:
        """Take in the weights after a step of the optimiser. Whole numbers, such as counts of batches, are copied.

        After n steps the decay is at most (1 + n) / (10 + n), so that the first weights do not stay for long (as in
        TensorFlow's `ExponentialMovingAverage` with `num_updates`).
        """
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        current = module.state_dict()
        floating = [name for name, tensor in current.items() if tensor.is_floating_point()]
        average = get_ema_multi_avg_fn(decay)
        average([self.weights[name] for name in floating], [current[name] for name in floating], self.steps)
        for name in current.keys() - floating:
            self.weights[name].copy_(current[name])

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from `weights` and `steps` of a state."""
        self.steps = state["steps"]
        for name, tensor in state["weights"].items():
            self.weights[name].copy_(tensor)
