import pytest
import torch
from torch import nn
from torch.nn import functional

from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.models.partial import PartialNetwork

SIZE = (64, 96)
AREAS = [((0, 64), (0, 96)), ((17, 40), (33, 70)), ((0, 9), (80, 96)), ((63, 64), (0, 1))]
NETWORKS = {
    "classic": ModelEntry("classic-unet", options={"width": 4}),
    "mobilenet": ModelEntry("Unet", encoder="mobilenet_v2"),
    "gates": ModelEntry("Unet", encoder="efficientnet-b0", options={"decoder_attention_type": "scse"}),
    "global": ModelEntry("DeepLabV3Plus", encoder="resnet18"),
}


def lively(entry):
    """A network in evaluation mode whose normalisations do something."""
    torch.manual_seed(0)
    network = build_network(entry)
    for part in network.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
    network.module.eval()
    return network.module


def noise(channels=1):
    return 2 * torch.rand(1, channels, *SIZE, generator=torch.Generator().manual_seed(1)) - 1


def part_of(logits, area):
    return logits[:, :, slice(*area[0]), slice(*area[1])]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_part_has_the_logits_of_the_whole_slice(name):
    module = lively(NETWORKS[name])
    partial = PartialNetwork(module, 1, SIZE)
    with torch.no_grad():
        whole = module(noise())
    for area in AREAS:
        assert partial(noise(), area) == pytest.approx(part_of(whole, area), abs=1e-4 * float(whole.abs().max()))


class Layers(nn.Module):
    """Every operation that is computed in part, with odd numbers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, (5, 3), stride=2, padding=(2, 1), dilation=(1, 2), groups=1)
        self.norm = nn.BatchNorm2d(4)
        self.shared = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1)
        self.last = nn.Conv2d(12, 1, 1)
        self.scale = nn.Parameter(torch.full((4, 1, 1), 0.7))

    def forward(self, image):
        features = self.first(functional.pad(image, (2, 3, 1, 0)))[:, :, :32, :48]
        kept = self.norm(features)
        features = functional.leaky_relu(kept * self.scale) - torch.tanh(features)  # the convolution's result, again
        features = self.shared(self.shared(features)).relu_()
        pooled = functional.max_pool2d(features, 3, 2, 1)
        gate = features.mean(dim=(2, 3), keepdim=True).sigmoid()
        size = {"scale_factor": 4, "mode": "bilinear"}
        parts = [functional.interpolate(pooled, **size), self.up(features * gate), self.up(kept.clone())]
        return self.last(torch.cat(parts, dim=1))


def test_each_operation_of_a_part_takes_what_it_needs():
    torch.manual_seed(0)
    module = Layers().eval()
    module.norm.running_mean.normal_()
    partial = PartialNetwork(module, 3, SIZE)
    with torch.no_grad():
        whole = module(noise(3))
    for area in AREAS:
        assert partial(noise(3), area) == pytest.approx(part_of(whole, area), abs=1e-5)


def test_a_part_computes_no_more_than_it_depends_on():
    def share(area):
        wanted = partial._areas(area)
        sizes = [(node, bounds) for node, bounds in wanted.items() if node.op == "call_function"]
        return sum((b[0][1] - b[0][0]) * (b[1][1] - b[1][0]) for _, b in sizes)

    partial = PartialNetwork(lively(NETWORKS["classic"]), 1, (256, 256))
    assert share(((96, 128), (96, 128))) < 0.35 * share(((0, 256), (0, 256)))


def test_normalisation_is_part_of_the_convolution_before_it():
    targets = {str(step.node.target) for step in PartialNetwork(lively(NETWORKS["mobilenet"]), 1, SIZE)._steps}
    assert "aten.conv2d.default" in targets and not any("norm" in target for target in targets)
    targets = {str(step.node.target) for step in PartialNetwork(lively(NETWORKS["classic"]), 1, SIZE)._steps}
    assert any("norm" in target for target in targets)  # there it follows the activation


def test_bfloat16_is_near():
    module = lively(NETWORKS["mobilenet"])
    with torch.no_grad():
        whole = module(noise())
    found = PartialNetwork(module, 1, SIZE, torch.bfloat16)(noise(), AREAS[1])
    assert found.dtype == torch.float32 and not torch.equal(found, part_of(whole, AREAS[1]))
    assert found == pytest.approx(part_of(whole, AREAS[1]), abs=0.1 * float(whole.abs().max()))


class Branches(nn.Module):
    """What it does depends on what it sees."""

    def forward(self, image):
        return image * 2 if image.max() > 0 else image


class Two(nn.Module):
    def forward(self, image):
        return image, image


class Counts(nn.Module):
    """Counts its calls, so that what is written down is not what it does later."""

    calls = 0

    def forward(self, image):
        Counts.calls += 1
        return image * Counts.calls


@pytest.mark.parametrize("module", [Branches(), Two(), Counts()], ids=lambda module: type(module).__name__)
def test_what_cannot_be_computed_in_part_is_refused(module):
    with pytest.raises(Exception):  # noqa: B017  whatever torch.export raises
        PartialNetwork(module.eval(), 1, SIZE)


def test_a_network_that_takes_whole_slices_is_refused():
    module = build_network(ModelEntry("Segformer", encoder="mit_b0")).module.eval()
    with pytest.raises(ValueError, match="all of a slice"):
        PartialNetwork(module, 1, SIZE)
