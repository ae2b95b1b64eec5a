"""A model's entry holds what decides its network, and nothing else."""

import json
from dataclasses import asdict

import pytest

from lesionbench.models.entry import ModelEntry


def test_label_and_recipe_are_no_part_of_the_network():
    settings = {"architecture": "Unet", "encoder": "resnet34", "label": "U-Net", "training": {"batch_size": 2}}
    assert ModelEntry.of(settings) == ModelEntry("Unet", "resnet34")


def test_a_key_that_is_null_is_as_one_that_is_left_out():
    settings = {"architecture": "classic-unet", "encoder": None, "encoder_weights": None, "options": None}
    assert ModelEntry.of(settings) == ModelEntry("classic-unet")
    assert ModelEntry.of(settings).options == {}


def test_an_entry_comes_back_from_a_record():
    entry = ModelEntry("Unet", "resnet34", "imagenet", {"decoder_channels": [64, 32]})
    assert ModelEntry(**json.loads(json.dumps(asdict(entry)))) == entry


@pytest.mark.parametrize(
    ("entry", "name"),
    [(ModelEntry("classic-unet"), "classic-unet"), (ModelEntry("FPN", "vgg19"), "FPN with encoder vgg19")],
)
def test_messages_name_the_encoder_where_there_is_one(entry, name):
    assert entry.name == name
