"""Every architecture with an encoder of each family either works, or is refused with advice that works."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from lesionbench.data.nifti import write_volume
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.reading import AS_IS
from lesionbench.data.scans import read_header
from lesionbench.data.volume import slice_spacing
from lesionbench.errors import UserError
from lesionbench.models import trial
from lesionbench.models.entry import ModelEntry
from lesionbench.models.names import CLASSIC_UNET
from lesionbench.models.networks import ARCHITECTURES, Network
from lesionbench.models.trial import Trial, read_grids, slice_sizes, try_network, write_trials
from oriented import make_affine

# MosMedData's slices: axial ones, and the smallest coronal ones.
AXIAL, CORONAL = (512, 512), (40, 512)
FAMILIES = [
    "resnet18",
    "vgg11",
    "mobilenet_v2",
    "efficientnet-b0",
    "mit_b0",
    "tu-convnext_atto",
    "tu-vit_tiny_patch16_224",
    "tu-swin_tiny_patch4_window7_224",
    "tu-maxvit_rmlp_pico_rw_256",
]
SMALL = ModelEntry(CLASSIC_UNET, options={"width": 4})


def lines_after(message):
    """The keys in the lines of YAML that a message ends with."""
    return yaml.safe_load(message.split("Write, for example:\n")[1])


@pytest.mark.parametrize("encoder", FAMILIES)
@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {CLASSIC_UNET}))
def test_each_architecture_and_encoder_works_or_is_refused_with_advice_that_works(architecture, encoder):
    entry = ModelEntry(architecture, encoder, "imagenet")
    try:
        outcome = try_network(Trial(entry, 8, "auto"), [AXIAL, CORONAL])
    except UserError as error:
        outcome = try_network(Trial(replace(entry, **lines_after(str(error))), 8, "auto"), [AXIAL, CORONAL])
    assert [entry["size"] for entry in outcome["slices"]] == [AXIAL, CORONAL]
    for (rows, columns), (height, width) in (entry.values() for entry in outcome["slices"]):
        assert (rows <= height <= 256 and columns <= width <= 512) or (rows, columns) == (height, width) == AXIAL


@pytest.mark.parametrize(
    ("entry", "said", "lines"),
    [
        (
            ModelEntry("FPN", "mobilenet_v2", options={"encoder_depth": 3}),
            "whatever their padding (slices (2, 1, 40, 512) give logits (2, 1, 160, 2048))",
            {"options": {"encoder_depth": 3, "upsampling": 1}},
        ),
        (
            ModelEntry("Unet", "mobilenet_v2", options={"encoder_depth": 3}),
            "Correct the model's `options`",
            {"options": {"encoder_depth": 3, "decoder_channels": [256, 128, 64]}},
        ),
        (
            ModelEntry("DeepLabV3Plus", "vgg11", options={"decoder_channels": 128}),
            "vgg11 does not suit DeepLabV3Plus: choose another encoder or architecture",
            {"encoder": "resnet34", "options": {}},
        ),
        (
            ModelEntry("DPT", "resnet18", "imagenet"),
            "resnet18 does not suit DPT",
            {
                "encoder": "tu-vit_tiny_patch16_224",
                "encoder_weights": None,
                "options": {"dynamic_img_size": True},
            },
        ),
        (
            ModelEntry("Unet", "tu-coatnet_pico_rw_224"),
            "takes no slices of 40 × 512 pixels",
            {"options": {"img_size": [64, 512]}},
        ),
    ],
)
def test_advice_names_what_does_not_suit(entry, said, lines):
    with pytest.raises(UserError) as error:
        try_network(Trial(entry, 8, "auto"), [CORONAL])
    assert said in str(error.value) and lines_after(str(error.value)) == lines
    try_network(Trial(replace(entry, **lines), 8, "auto"), [CORONAL])


@pytest.mark.parametrize("architecture", ["DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet"])
def test_a_batch_of_one_slice_is_refused_where_its_normalisation_needs_two(architecture):
    entry = ModelEntry(architecture, "mobilenet_v2")
    with pytest.raises(UserError, match=r"a batch of one slice of .*\n  training: \{batch_size: 2\}"):
        try_network(Trial(entry, 1, "auto"), [(48, 48)])
    try_network(Trial(entry, 2, "auto"), [(48, 48)])


def test_a_batch_of_one_slice_is_as_good_where_nothing_shrinks_to_a_pixel():
    try_network(Trial(ModelEntry("Unet", "mobilenet_v2"), 1, "auto"), [(48, 48)])


def test_bfloat16_is_tried_with_values(monkeypatch):
    computed = []
    monkeypatch.setattr(trial, "_compute", lambda network, precision: computed.append(precision))
    for precision in ("auto", "float32", "bfloat16"):
        try_network(Trial(SMALL, 8, precision), [(48, 48)])
    assert computed == ["bfloat16"]
    monkeypatch.undo()
    try_network(Trial(ModelEntry("PSPNet", "mobilenet_v2"), 8, "bfloat16"), [(48, 48)])


class OnlyTrains(nn.Conv2d):
    """Gives half of the slice once it is trained."""

    def forward(self, image):
        logits = super().forward(image)
        return logits if self.training else logits[..., 1:]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Identity(), "no gradient, so it would learn nothing"),
        (OnlyTrains(1, 1, 1), r"in evaluation mode slices \(1, 1, 48, 48\) give logits \(1, 1, 48, 47\)"),
    ],
)
def test_a_pass_in_either_mode_is_tried(module, message, monkeypatch):
    monkeypatch.setattr(trial, "build_without_values", lambda *_, **__: Network(module, 1, "Mine"))
    with pytest.raises(UserError, match=f"^Mine: .*{message}"):
        try_network(Trial(SMALL, 8, "auto"), [(48, 48)])


def test_weights_of_an_encoder_are_tried_too(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be read"):
        try_network(Trial(ModelEntry("Unet", "resnet18", str(path)), 8, "auto", str(path)), [CORONAL])


def test_sizes_are_those_of_the_plane_from_headers_each_once(tmp_path):
    for name, orientation in (("a", "LAS"), ("b", "SRP"), ("c", "LAS")):
        axes = [orientation.index(next(code for code in orientation if code in pair)) for pair in ("LR", "AP", "IS")]
        shape = np.zeros(3, int)
        shape[axes] = (20, 30, 10)
        write_volume(tmp_path / f"{name}.nii.gz", np.zeros(shape, np.int16), make_affine(orientation))
    scans = sorted(tmp_path.glob("*.nii.gz"))
    grids = read_grids(scans, AS_IS)
    assert slice_sizes(grids, Preprocessing("axial")) == [(30, 20)]
    assert slice_sizes(grids, Preprocessing("coronal")) == [(10, 20)]
    assert slice_sizes(grids, Preprocessing("sagittal")) == [(10, 30)]
    row, column = slice_spacing(read_header(scans[0]).affine, "axial")[1:]
    assert slice_sizes(grids, Preprocessing("axial", spacing=[row / 2, column * 2])) == [(60, 10)]
    assert slice_sizes(grids, Preprocessing("axial", spacing=[row / 2, column * 2], size=[40, 40])) == [(40, 40)]


def test_one_models_error_leaves_the_others_outcomes(tmp_path):
    broken = Trial(ModelEntry("DPT", "resnet18"), 8, "auto")
    trials, sizes = {"broken": broken, "small": Trial(SMALL, 8, "auto")}, [(33, 40), (20, 60)]
    write_trials(trials, dict.fromkeys(trials, sizes), tmp_path / "models.json")
    outcomes = json.loads((tmp_path / "models.json").read_text())
    assert outcomes["broken"]["error"].startswith("models.broken: DPT with encoder resnet18 cannot be built")
    assert outcomes["small"]["slices"] == [
        {"size": [33, 40], "padded": [48, 48]},
        {"size": [20, 60], "padded": [32, 64]},
    ]
    assert outcomes["small"]["stride"] == 16 and outcomes["small"]["parameters"] > 1000


def test_a_trial_leaves_the_random_generator_alone_for_real_networks():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    network = trial.build_network(SMALL)
    torch.manual_seed(1)
    network.padded_size([(48, 48)])
    assert torch.equal(torch.rand(1), expected)
