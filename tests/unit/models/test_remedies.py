import pytest

from lesionbench.errors import UserError
from lesionbench.models.entry import ModelEntry
from lesionbench.models.names import listed_names, unknown_names
from lesionbench.models.remedies import advice, alternatives


def refuse(entry):
    raise UserError("no")


@pytest.mark.parametrize(
    "entry",
    [
        ModelEntry("Unet", "resnet18", options={"encoder_depth": 3, "decoder_channels": [4, 2]}),
        ModelEntry("DPT", "tu-vit_tiny_patch16_224", options={"dynamic_img_size": False}),
        ModelEntry("classic-unet", options={"width": 0}),
    ],
)
def test_alternatives_differ_and_hold_known_names_only(entry):
    others = list(alternatives(entry, (41, 512)))
    assert others and entry not in others
    assert not any(text for other in others for text in unknown_names(other, listed_names()))


def test_the_first_alternative_that_works_is_the_advice():
    entry = ModelEntry("FPN", "tu-resnet18", options={"encoder_depth": 3, "upsampling": 9})
    assert advice(entry, (41, 512), lambda other: None) == (
        " Write, for example:\n  options: {encoder_depth: 3, upsampling: 9, dynamic_img_size: true}"
    )
    assert advice(entry, (41, 512), lambda other: other.encoder == "resnet34" or refuse(other)) == (
        " Write, for example:\n  encoder: resnet34\n  options: {}"
    )


def test_nothing_is_advised_where_nothing_works():
    assert advice(ModelEntry("classic-unet", options={"width": 0}), (41, 512), refuse) == ""
