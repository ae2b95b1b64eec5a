import pytest
import torch
from torch import nn

from lesionbench.errors import UserError
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import build_network
from lesionbench.models.padding import LARGEST_MULTIPLE, Padding, candidate_sizes, on_meta


class Picky(nn.Module):
    """One convolution, for slices that `takes` accepts; it notes on which device it runs."""

    def __init__(self, takes):
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 3, padding=1)
        self.takes = takes

    def forward(self, image):
        assert image.device.type == "meta"
        if not self.takes(*image.shape[2:]):
            raise RuntimeError("too small.")
        return self.convolution(image)


def fit(size, stride, takes=lambda rows, columns: True):
    return Padding(Picky(takes), stride, "Picky").fit(size)


def test_slices_grow_to_the_next_multiple_of_the_stride_where_that_is_enough():
    assert fit((41, 512), 16) == (48, 512)


def test_slices_grow_further_where_that_helps_and_no_further_than_needed():
    assert fit((41, 520), 16, lambda rows, _: rows >= 100) == (128, 528)
    assert fit((41, 520), 16, lambda rows, columns: rows % 64 == columns % 64 == 0) == (64, 576)


def test_slices_grow_to_a_size_that_the_network_is_made_for():
    class Fixed(Picky):
        img_size = (56, 600)

    padding = Padding(Fixed(lambda *size: size == (56, 600)), 16)
    assert padding.fit((41, 512)) == (56, 600)
    with pytest.raises(UserError):
        padding.fit((57, 512))


def test_what_helps_nothing_is_told_with_the_first_reason():
    with pytest.raises(
        UserError, match=r"takes no slices of 41 × 512 pixels, .*\(too small; line \d+ of test_padding\.py\)\.$"
    ):
        fit((41, 512), 16, lambda *_: False)


def test_an_output_of_another_size_does_not_pass():
    network = nn.Conv2d(1, 2, 1)
    with pytest.raises(UserError, match=r"slices \(2, 1, 16, 16\) give logits \(2, 2, 16, 16\)"):
        Padding(network, 16).fit((9, 9))
    with pytest.raises(UserError, match="it returns tuple, not one tensor of logits"):
        Padding(nn.MaxPool2d(1, return_indices=True), 16).fit((9, 16))


def test_a_network_that_looks_at_values_gets_the_multiples_of_its_stride():
    class Looks(nn.Module):
        def forward(self, image):
            return image if image.max() > 0 else -image

    assert Padding(Looks(), 32).fit((41, 500)) == (64, 512)


def test_candidates_hold_the_slice_and_start_with_the_smallest():
    found = candidate_sizes((41, 512), 16, {(224, 224)})
    assert found[0] == (48, 512) and (128, 512) in found and (224, 672) in found
    assert all(rows >= 41 and columns >= 512 for rows, columns in found)
    areas = [rows * columns for rows, columns in found]
    assert areas == sorted(areas) and max(found)[0] <= LARGEST_MULTIPLE


def test_the_twin_shares_nothing_with_the_network():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    twin = on_meta(network)
    assert all(value.is_meta for value in twin.state_dict().values())
    twin(torch.zeros(2, 1, 8, 8, device="meta")).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network[0].weight.grad is None


@pytest.mark.parametrize(
    ("entry", "size", "padded"),
    [
        (ModelEntry("classic-unet"), (41, 512), (48, 512)),
        (ModelEntry("Unet", "vgg19"), (41, 512), (64, 512)),
        (ModelEntry("Unet", "mobilenet_v2"), (32, 32), (32, 32)),
        (ModelEntry("PAN", "resnet18"), (48, 512), (128, 512)),
        (ModelEntry("DPT", "tu-vit_tiny_patch16_224", options={"dynamic_img_size": True}), (41, 500), (64, 512)),
        (ModelEntry("DPT", "tu-vit_tiny_patch16_224"), (64, 64), (224, 224)),
        (ModelEntry("Unet", "tu-maxvit_rmlp_pico_rw_256"), (41, 512), (256, 512)),
    ],
)
def test_real_networks_get_the_padding_that_they_need(entry, size, padded):
    assert build_network(entry).padded_size([size]) == padded
