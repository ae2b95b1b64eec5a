"""The moving average of the weights is that of PyTorch's AveragedModel."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lesionbench.training.averaging import WeightAverage


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 1, 1))


def steps(module, count):
    """Train for some steps; yield after each."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for step in range(count):
        image = torch.randn((2, 1, 8, 8), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        module(image).square().mean().backward()
        optimizer.step()
        yield


def same(one, other):
    for name in one:
        torch.testing.assert_close(one[name], other[name], msg=name)


def test_it_agrees_with_pytorch_s_averaged_model():
    module = network()
    ours = WeightAverage(module, 0.9)
    ours.steps = 1000  # after so many, the decay is the one that was asked for
    theirs = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.n_averaged += 1  # so that the first update averages, as ours does
    count = "1.num_batches_tracked"  # whole batches: theirs is rounded, ours is the network's
    for _ in steps(module, 6):
        ours.update(module)
        theirs.update_parameters(module)
        expected = theirs.module.state_dict()
        same({name: tensor for name, tensor in ours.weights.items() if name != count}, expected)
    assert ours.weights[count] == module.state_dict()[count] == 6


def test_the_first_weights_do_not_stay_for_long():
    module = network()
    ours, expected = WeightAverage(module, 0.999), module.state_dict()["0.weight"].double()
    for step, _ in enumerate(steps(module, 30)):
        ours.update(module)
        decay = (1 + step) / (10 + step)
        expected = decay * expected + (1 - decay) * module.state_dict()["0.weight"].double()
        torch.testing.assert_close(ours.weights["0.weight"].double(), expected, atol=1e-6, rtol=1e-5)


def test_it_goes_on_from_a_state():
    module = network()
    one, other = WeightAverage(module, 0.9), WeightAverage(network(), 0.9)
    for step, _ in enumerate(steps(module, 6)):
        if step == 3:
            state = {"steps": one.steps, "weights": {name: value.clone() for name, value in one.weights.items()}}
            other.resume(state)
        one.update(module)
        if step >= 3:
            other.update(module)
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_it_does_not_change_with_the_network():
    module = network()
    average = WeightAverage(module, 0.9)
    before = average.weights["0.weight"].clone()
    next(steps(module, 1))
    assert torch.equal(average.weights["0.weight"], before)
    assert not torch.equal(module.state_dict()["0.weight"], before)
    with pytest.raises(KeyError):
        average.resume({"steps": 1, "weights": {"other": before}})


def test_no_value_on_the_device_is_waited_for():
    """On the device `meta` there are no values, so whatever asks for one fails."""
    module = network().to("meta")
    average = WeightAverage(module, 0.9)
    average.update(module)
    assert average.steps == 1 and average.weights["0.weight"].device.type == "meta"
