"""Whether a network of the user's own keeps what docs/extend.md asks of it, tried with values before it is trained."""

import logging
from collections.abc import Callable, Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from lesionbench.errors import UserError
from lesionbench.models.loading import explained
from lesionbench.models.networks import Network
from lesionbench.models.padding import Size, wrong_shape
from lesionbench.words import first_few

_REMEDY = "Correct the class, or, if height and width must be multiples of some pixels, set its attribute `stride`"

logger = logging.getLogger(__name__)


def check_contract(
    build: Callable[[], Network], sizes: Sequence[Size], batch_size: int, precision: str, device: torch.device
) -> None:
    """Take a network through steps of training on slices of each size, then judge how it predicts and is saved.

    build: makes the network, each time with other random weights; precision: bfloat16, or another; device: where the
    steps are taken; the rest is on the CPU. PyTorch's generator there stays as it was.

    Raises UserError, with the network's name, for the first thing that is wrong, whatever the network raises. Weights
    without a gradient are a warning.
    """
    with torch.random.fork_rng(devices=[]):
        network = build()
        network.module.to(device)
        for size in sizes:
            image = _slices(network, min(batch_size, 2), size).to(device)
            amp = torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
            with explained(f"{network.name} fails in a step of training", _REMEDY), amp:
                problem = _try_step(network, image)
            if problem:
                raise UserError(f"{network.name}: {problem}.")
        network.module.cpu()
        image = _slices(network, 2, sizes[-1])
        with explained(f"{network.name} fails where it predicts", "Correct the class"):
            problem = _try_prediction(network.module.eval(), image)
        if problem := problem or _try_saving(network, build(), image):
            raise UserError(f"{network.name}: {problem}.")


def _slices(network: Network, count: int, size: Size) -> Tensor:
    """Return slices in which every pixel is air and, after the first, slices of noise."""
    noise = 2 * torch.rand(count, network.channels, *size) - 1
    noise[0] = -1
    return noise


def _try_step(network: Network, image: Tensor) -> str:
    """Go forward and backward; return what is wrong with logits or gradients, or ""."""
    logits = network.module.train()(image)
    if problem := _wrong_logits(logits, image):
        return problem
    auxiliary = network.auxiliary
    for output in auxiliary:
        if output.ndim != 4 or output.shape[:2] != logits.shape[:2]:
            return f"its attribute `auxiliary` holds {tuple(output.shape)}, not logits (batch, 1, height, width)"
    outputs = [output for output in (logits, *auxiliary) if output.requires_grad]
    if not logits.requires_grad:
        return "its logits have no gradient, so it would learn nothing"
    torch.stack([output.float().sigmoid().sum() for output in outputs]).sum().backward()
    weights = {name: weight for name, weight in network.module.named_parameters() if weight.requires_grad}
    gradients = {name: weight.grad for name, weight in weights.items()}
    if bad := [name for name, gradient in gradients.items() if gradient is not None and not gradient.isfinite().all()]:
        return f"the gradient of {first_few(bad)} is NaN or infinite for slices of air or noise"
    idle = [name for name, gradient in gradients.items() if gradient is None]
    if len(idle) == len(gradients):
        return "no weight of it gets a gradient, so it would learn nothing"
    if idle:
        logger.warning("%s: %s get no gradient, so they stay as they are at first.", network.name, first_few(idle))
    return ""


def _wrong_logits(logits: object, image: Tensor) -> str:
    if problem := wrong_shape(logits, (len(image), 1, *image.shape[2:])):
        return problem
    assert isinstance(logits, Tensor)
    bad = [name for name, slices in (("air", logits[:1]), ("noise", logits[1:])) if not slices.isfinite().all()]
    return f"for a slice of nothing but {bad[0]} it gives logits that are NaN or infinite" if bad else ""


@torch.no_grad()
def _try_prediction(module: nn.Module, image: Tensor) -> str:
    """Predict slices alone and twice; return what is wrong, or ""."""
    for one in image.split(1):
        logits = module(one)
        if problem := _wrong_logits(logits, one):
            return f"in evaluation mode {problem}"
        if not _alike(logits, module(one)):
            return (
                "in evaluation mode it gives other logits each time. Let nothing be random there: use nn.Dropout, or "
                "give torch.nn.functional.dropout `training=self.training`"
            )
    return ""


@torch.no_grad()
def _try_saving(network: Network, other: Network, image: Tensor) -> str:
    """Give the weights of a network to another by way of a file; return what is wrong, or ""."""
    state = network.module.state_dict()
    if odd := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        return f"its state holds {first_few(odd)}, which is no tensor and cannot be saved"
    with explained(f"{network.name}: its weights cannot be saved and loaded again", "Correct the class"):
        # As `training.record` writes them: each for itself, so that shared weights are saved twice.
        file = save({name: value.clone().contiguous() for name, value in state.items()})
        other.module.load_state_dict(load(file))
        if _alike(other.module.eval()(image), network.module(image)):
            return ""
    return (
        "built again and given its weights, it gives other logits: it computes with numbers that are not saved. Make "
        "them parameters, or buffers (`register_buffer`)"
    )


def _alike(one: Tensor, other: Tensor) -> bool:
    """Say whether logits are the same but for the order in which numbers were added."""
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4)
