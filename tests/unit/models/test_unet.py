import pytest
import torch
from torch import nn

from lesionbench.models.unet import ClassicUNet


def test_channels_double_to_1024_and_halve_back():
    model = ClassicUNet()
    assert [block[0].out_channels for block in model.encoder] == [64, 128, 256, 512, 1024]
    assert [(up.in_channels, up.out_channels) for up in model.upsampling] == [
        (1024, 512),
        (512, 256),
        (256, 128),
        (128, 64),
    ]
    assert [block[0].in_channels for block in model.decoder] == [1024, 512, 256, 128]


def test_every_convolution_is_followed_by_relu_and_then_normalisation():
    model = ClassicUNet(width=4)
    order = [nn.Conv2d, nn.ReLU, nn.BatchNorm2d] * 2
    assert [[type(layer) for layer in block] for block in [*model.encoder, *model.decoder]] == [order] * 9


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 48), (64, 32)])
def test_logits_have_the_size_of_the_image(height, width):
    model = ClassicUNet(in_channels=2, classes=3, width=2).eval()
    assert model(torch.zeros(1, 2, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize(("height", "width"), [(16, 41), (40, 16)])
def test_other_sizes_are_refused(height, width):
    with pytest.raises(ValueError, match=f"{height} × {width} .* multiples of 16"):
        ClassicUNet(width=2)(torch.zeros(1, 1, height, width))


def test_skips_carry_the_image_past_the_lower_levels():
    torch.manual_seed(0)
    model = ClassicUNet(width=2).eval()
    for block in model.encoder[1:]:
        block.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    image = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(model(image), model(image.flip(-1)))
