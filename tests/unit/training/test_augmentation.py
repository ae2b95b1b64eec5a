import math
from dataclasses import replace

import pytest
import torch

from lesionbench.training import augmentation, distortion
from lesionbench.training.augmentation import _inverse, augment
from lesionbench.training.batches import Batch, batches, generator, load_slices
from lesionbench.training.distortion import TRANSFORMS, add_noise
from tiny import PAD, PREPROCESSING, by_study, write_stack


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """One study of slices of 30 rows (1 mm) and 40 columns (2 mm), padded to 32 × 48."""
    path = write_stack(tmp_path_factory.mktemp("stacks"), 1, (40, 30, 9))
    return load_slices(by_study([path]), PAD, PREPROCESSING, torch.device("cpu"), 1e9)


STRENGTHS = pytest.mark.parametrize("strength", ["light", "strong"])


def first_batch(slices, order):
    return next(batches(slices, torch.tensor(order), len(order)))


def test_certain_flips_and_nothing_else_flip_everything(slices, monkeypatch):
    monkeypatch.setattr(augmentation, "FLIP_PROBABILITY", 1)
    for name in ("ROTATION", "SCALING", "SHIFT"):
        monkeypatch.setattr(augmentation, name, 0)
    batch = first_batch(slices, [3, 4])
    flipped = augment(batch, slices, "light", generator(0))
    torch.testing.assert_close(flipped.image, batch.image.flip(2, 3), atol=1e-5, rtol=0)
    assert torch.equal(flipped.target, batch.target.flip(2, 3))
    assert torch.equal(flipped.valid, batch.valid.flip(2, 3))


def test_mask_and_padding_follow_the_image(slices):
    batch = first_batch(slices, [2, 3, 4, 5])
    # Lesion where the picture is bright: the image's own mask and padding, drawn as intensities.
    mask, padding = (augment(batch._replace(image=part * 2.0 - 1), slices, "light", generator(1)) for part in batch[2:])
    assert torch.equal(mask.target, padding.target) and torch.equal(mask.valid, padding.valid)
    assert mask.target.sum() > 0
    assert ((mask.image > 0) == (mask.target > 0)).float().mean() > 0.98
    inside = (padding.image > 0) == padding.valid
    assert inside[:, :, 8:-8, 8:-8].float().mean() > 0.98


@STRENGTHS
def test_each_slice_is_drawn_for_itself(slices, strength):
    same = augment(first_batch(slices, [3, 3, 3]), slices, strength, generator(2))
    assert not torch.equal(same.image[0], same.image[1]) and not torch.equal(same.image[1], same.image[2])


@STRENGTHS
def test_the_same_seed_gives_the_same_batch(slices, strength):
    batch = first_batch(slices, [1, 2, 3, 4, 5, 6, 7, 8])
    one, again, other = (augment(batch, slices, strength, generator(0, 1, step)) for step in (1, 1, 2))
    assert torch.equal(one.image, again.image) and torch.equal(one.target, again.target)
    assert not torch.equal(one.image, other.image)


@STRENGTHS
def test_values_stay_in_the_window_and_masks_binary(slices, strength):
    batch = augment(first_batch(slices, list(range(9))), slices, strength, generator(3))
    assert batch.image.min() >= -1 and batch.image.max() <= 1
    assert set(batch.target.unique().tolist()) == {0, 1}


def test_what_comes_in_from_outside_is_air(slices, monkeypatch):
    monkeypatch.setattr(augmentation, "SHIFT", 0)
    monkeypatch.setattr(augmentation, "ROTATION", math.pi / 2)
    batch = first_batch(slices, [3] * 8)
    bright = augment(batch._replace(image=torch.ones_like(batch.image), valid=None), slices, "light", generator(4))
    assert bright.image.min() == pytest.approx(-1) and bright.valid is None


def test_rotations_are_rotations_in_mm():
    height, width = 32 * 1.0, 48 * 2.0
    angle, one = torch.tensor([0.3]), torch.ones(1)
    matrix = _inverse(torch.ones(1, 2), angle, one, torch.tensor([height / width]))[0, :, :2]
    size = torch.diag(torch.tensor([width, height]))
    in_mm = size @ matrix @ size.inverse()
    cos, sin = math.cos(0.3), math.sin(0.3)
    torch.testing.assert_close(in_mm, torch.tensor([[cos, -sin], [sin, cos]]))


def test_strong_moves_image_and_mask_alike_and_bends_them(slices, monkeypatch):
    """With certain deformations and nothing else, what was straight is not, and picture and mask still agree."""
    monkeypatch.setattr(augmentation, "distort", lambda image, random: image)
    monkeypatch.setattr(augmentation, "DISPLACEMENT", 0.03)
    for name in ("SHIFT", "STRONG_ROTATION", "FLIP_PROBABILITY"):
        monkeypatch.setattr(augmentation, name, 0)
    monkeypatch.setattr(augmentation, "STRONG_SCALING", (1, 1))
    monkeypatch.setattr(augmentation, "STRONG_PROBABILITY", 1)
    batch = first_batch(slices, [3, 4, 5])
    target = torch.zeros_like(batch.target)
    target[:, :, :, :24] = 1
    bent = augment(batch._replace(image=2 * target - 1, target=target), slices, "strong", generator(5))
    assert ((bent.image > 0) == (bent.target > 0)).float().mean() > 0.98
    edges = bent.target[:, 0, 4:-4].sum(dim=2)
    assert edges.std(dim=1).min() > 0 and (edges - 24).abs().max() < 12
    monkeypatch.setattr(augmentation, "STRONG_PROBABILITY", 0)
    straight = augment(batch._replace(target=target), slices, "strong", generator(5))
    torch.testing.assert_close(straight.image, batch.image, atol=1e-5, rtol=0)
    assert torch.equal(straight.target, target)


def test_all_channels_of_a_slice_change_alike(slices):
    batch = first_batch(slices, list(range(9)))
    threefold = augment(batch._replace(image=batch.image.expand(-1, 3, -1, -1)), slices, "light", generator(6)).image
    torch.testing.assert_close(threefold[:, 1:2], augment(batch, slices, "light", generator(6)).image)
    assert torch.equal(threefold[:, 0], threefold[:, 2])


@STRENGTHS
def test_no_value_on_the_device_is_waited_for(slices, strength, monkeypatch):
    """On the device `meta` there are shapes and no values, so whatever asks for a value fails."""
    with_values = [add_noise]  # draws with a generator on the device, which `meta` has not
    certain = tuple((transform, 1) for transform, _ in TRANSFORMS if transform not in with_values)
    monkeypatch.setattr(distortion, "TRANSFORMS", certain)
    monkeypatch.setattr(augmentation, "STRONG_PROBABILITY", 1)
    batch = Batch(*(tensor.to("meta") for tensor in first_batch(slices, [1, 2, 3])))
    augmented = augment(batch, replace(slices, spacing=slices.spacing.to("meta")), strength, generator(0))
    assert [tensor.shape for tensor in augmented] == [tensor.shape for tensor in batch]
    with pytest.raises(RuntimeError):
        augmented.image.sum().item()
