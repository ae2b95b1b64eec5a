import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.encoders import get_encoder

from lesionbench.errors import UserError
from lesionbench.models.entry import ModelEntry
from lesionbench.models.networks import ARCHITECTURES, CLASSIC_UNET, build_network
from lesionbench.models.unet import ClassicUNet

PAPER = {
    CLASSIC_UNET: ({"architecture": CLASSIC_UNET}, 31_042_369),
    "vgg19": ({"architecture": "Unet", "encoder": "vgg19"}, 29_056_785),
    "resnet34": ({"architecture": "Unet", "encoder": "resnet34"}, 24_430_097),
    "mobilenet_v2": ({"architecture": "Unet", "encoder": "mobilenet_v2"}, 6_628_369),
}
SMALL = {"architecture": "Unet", "encoder": "resnet18"}


def build(model, weights=None):
    """The module of a model's settings."""
    return build_network(ModelEntry.of(model), weights).module


def save_encoder(path, name, **others):
    """Write random three-channel weights as smp's host would serve them; return their path."""
    torch.manual_seed(0)
    save_file(get_encoder(name, in_channels=3, weights=None).state_dict() | others, path)
    return path


@pytest.mark.parametrize(("model", "parameters"), PAPER.values(), ids=PAPER)
def test_the_models_of_the_paper_learn_from_one_slice(model, parameters):
    network = build(model)
    assert build_network(ModelEntry.of(model)).parameters == parameters
    image = torch.rand(1, 1, 64, 32)  # at 32 × 32 the deepest features are one pixel, too few for batch normalisation
    logits = network(image)
    assert logits.shape == image.shape and logits.dtype == torch.float32
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_same_seed_gives_the_same_network():
    def state():
        torch.manual_seed(3)
        return build(SMALL).state_dict()

    one, other = state(), state()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {CLASSIC_UNET, "DPT"}))
def test_the_stride_is_that_of_the_network(architecture):
    model = {"architecture": architecture, "encoder": "resnet18"}
    built = build_network(ModelEntry.of(model))
    network, stride = built.module.eval(), built.stride
    assert stride == network.encoder.output_stride
    assert network(torch.zeros(1, 1, 128 + stride, 128)).shape == (1, 1, 128 + stride, 128)


@pytest.mark.parametrize(
    ("model", "stride"),
    [
        ({"architecture": CLASSIC_UNET}, 16),
        (SMALL, 32),
        (SMALL | {"options": {"encoder_depth": 3, "decoder_channels": [64, 32, 16]}}, 8),
        ({"architecture": "DeepLabV3Plus", "encoder": "resnet18", "options": {"encoder_output_stride": 8}}, 8),
    ],
)
def test_slices_of_one_stride_pass(model, stride):
    assert build_network(ModelEntry.of(model)).stride == stride
    assert build(model).eval()(torch.zeros(1, 1, stride, 3 * stride)).shape == (1, 1, stride, 3 * stride)


def test_options_reach_the_constructor():
    assert build({"architecture": CLASSIC_UNET, "options": {"width": 2}}).head.in_channels == 2
    network = build(SMALL | {"options": {"decoder_channels": [64, 32, 16, 8, 4]}})
    assert network.segmentation_head[0].in_channels == 4


def test_encoders_of_timm_take_further_options():
    model = {"architecture": "Unet", "encoder": "tu-resnet10t.c3_in1k", "options": {"drop_path_rate": 0.1}}
    assert build(model).eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize("name", ["resnet34", "mobilenet_v2", "mobileone_s0", "densenet121"])
def test_the_encoder_gets_the_tensors_that_smp_makes_of_imagenet(name, tmp_path, monkeypatch):
    path = save_encoder(tmp_path / "weights.safetensors", name)
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda *_, **__: path)
    expected = get_encoder(name, in_channels=1, weights="imagenet").state_dict()
    ours = build({"architecture": "Unet", "encoder": name}, path).encoder.state_dict()
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=0, msg=key)


def test_a_grey_slice_has_the_features_of_its_colour_image(test_weights):
    model = {"architecture": "Unet", "encoder": "mobilenet_v2"}
    ours = build(model, test_weights).encoder.eval()
    colour = get_encoder("mobilenet_v2", weights=None).eval()
    colour.load_state_dict(load_file(test_weights))
    image = torch.rand(1, 1, 64, 64) * 2 - 1
    for one, three in zip(ours(image)[1:], colour(image.expand(-1, 3, -1, -1))[1:], strict=True):
        torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [3, 5])
def test_the_first_convolution_for_several_slices_is_that_of_smp(channels, tmp_path, monkeypatch):
    path = save_encoder(tmp_path / "weights.safetensors", "mobilenet_v2")
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda *_, **__: path)
    expected = get_encoder("mobilenet_v2", in_channels=channels, weights="imagenet").state_dict()
    entry = ModelEntry("Unet", "mobilenet_v2")
    network = build_network(entry, path, channels).module
    for key, value in network.encoder.state_dict().items():
        torch.testing.assert_close(value, expected[key], msg=key)
    first = "features.0.0.weight"
    if channels == 3:
        assert torch.equal(network.encoder.state_dict()[first], load_file(path)[first])
    assert network(torch.zeros(2, channels, 64, 64)).shape == (2, 1, 64, 64)


def test_the_classic_unet_takes_several_slices():
    network = build_network(ModelEntry(CLASSIC_UNET, options={"width": 2}), channels=3).module
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 32, 32)


def test_an_encoder_of_timm_loads_its_own_layout(tmp_path):
    path = save_encoder(tmp_path / "weights.safetensors", "tu-resnet10t")
    network = build({"architecture": "Unet", "encoder": "tu-resnet10t"}, path)
    expected = load_file(path)["model.conv1.0.weight"].sum(1, keepdim=True)
    assert torch.equal(network.encoder.state_dict()["model.conv1.0.weight"], expected)


def test_the_classifier_in_a_file_is_left_out(tmp_path):
    head = {"fc.weight": torch.zeros(2, 2), "last_linear.bias": torch.zeros(2), "classifier.0.weight": torch.zeros(2)}
    path = save_encoder(tmp_path / "weights.safetensors", "resnet18", **head)
    network = build(SMALL, path)
    assert torch.equal(network.encoder.layer1[0].conv1.weight, load_file(path)["layer1.0.conv1.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), r"1 missing \(layer1.0.conv1.weight\)"),
        (lambda state: state.update(extra=torch.zeros(1)), r"1 unknown \(extra\)"),
        (lambda state: state.update({"bn1.bias": torch.zeros(3)}), r"1 of another shape \(bn1.bias\)"),
        (lambda state: state.update({f"more.{i}": torch.zeros(1) for i in range(4)}), r"more.0, more.1, more.2, …\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message, tmp_path):
    state = get_encoder("resnet18", weights=None).state_dict()
    change(state)
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(UserError, match=rf"odd\.safetensors does not fit encoder resnet18: .*{message}"):
        build(SMALL, tmp_path / "odd.safetensors")


def test_a_file_that_is_not_safetensors_is_refused(tmp_path):
    path = tmp_path / "pointer.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match=r"pointer\.safetensors cannot be read .*null to train from scratch"):
        build(SMALL, path)
    with pytest.raises(UserError, match=r"absent\.safetensors cannot be read"):
        build(SMALL, tmp_path / "absent.safetensors")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"architecture": "UNet", "encoder": "resnet18"}, "UNet is unknown.*classic-unet, Unet, UnetPlusPlus"),
        (SMALL | {"encoder": "resnet43"}, "encoder: resnet43 is unknown. Did you mean.*resnet34"),
        (SMALL | {"encoder": "tu-resnet19"}, "tu-resnet19 is unknown. Did you mean.*tu-resnet"),
        ({"architecture": "Unet"}, "Unet needs an encoder"),
        ({"architecture": CLASSIC_UNET, "encoder": "resnet18"}, "Remove `encoder`"),
        (SMALL | {"options": {"decoder_chanels": [1]}}, "Unet takes no decoder_chanels. Did you mean decoder_channels"),
        (SMALL | {"options": {"activation": "sigmoid"}}, "activation is set by the workflow"),
        (
            SMALL | {"options": {"decoder_channels": [8, 4]}},
            "Unet with encoder resnet18 with options .*cannot be built",
        ),
        (
            SMALL | {"architecture": "PAN", "options": {"encoder_output_stride": 8}},
            "PAN with encoder .*cannot be built",
        ),
        (SMALL | {"encoder": "tu-resnet18.no_tag"}, "tu-resnet18.no_tag cannot be built .*: choose another encoder"),
        ({"architecture": CLASSIC_UNET, "options": {"width": 0}}, "would hold no weights.*Correct .*`options`"),
    ],
)
def test_a_wrong_entry_is_refused(model, message):
    with pytest.raises(UserError, match=message):
        build(model)


def test_classic_unet_takes_no_encoder_weights(tmp_path):
    with pytest.raises(UserError, match="Remove `encoder` and `encoder_weights`"):
        build({"architecture": CLASSIC_UNET}, tmp_path / "weights.safetensors")


def test_the_classic_unet_is_the_papers():
    assert isinstance(build({"architecture": CLASSIC_UNET}), ClassicUNet)
