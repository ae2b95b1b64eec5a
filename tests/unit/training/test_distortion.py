"""Each change of intensities does what its name says, to the slices drawn for it and to no others."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from lesionbench.training import distortion
from lesionbench.training.batches import generator
from lesionbench.training.distortion import (
    TRANSFORMS,
    add_noise,
    blur,
    change_contrast,
    change_gamma,
    change_inverted_gamma,
    distort,
    lower_resolution,
)


def slices(count=4, channels=1):
    return 0.2 + 0.6 * torch.rand((count, channels, 24, 40), generator=generator(7))


@pytest.mark.parametrize("transform", [transform for transform, _ in TRANSFORMS])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_change_keeps_the_size_depends_on_its_draws_alone_and_leaves_its_input(transform, channels):
    image = slices(channels=channels)
    one, again, other = (transform(image, generator(seed)) for seed in (1, 1, 2))
    assert one.shape == image.shape and torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(image, slices(channels=channels)) and not torch.equal(one, image)


def test_about_as_many_slices_are_changed_as_the_probabilities_say(monkeypatch):
    for number, (_, probability) in enumerate(TRANSFORMS):
        one = ((lambda image, random: 1 - image, probability),)
        monkeypatch.setattr(distortion, "TRANSFORMS", one)
        image = distort(torch.zeros(2000, 1, 2, 2), generator(number))
        assert set(image.unique().tolist()) == {0, 1}
        assert image.mean().item() == pytest.approx(probability, abs=0.03)


def test_values_stay_between_the_edges_of_the_window(monkeypatch):
    monkeypatch.setattr(distortion, "TRANSFORMS", tuple((transform, 1) for transform, _ in TRANSFORMS))
    image = distort(torch.rand((8, 1, 24, 40), generator=generator(1)), generator(2))
    assert image.min() >= 0 and image.max() <= 1 and image.isfinite().all()


def test_noise_has_no_mean_and_another_strength_for_each_slice():
    image = torch.full((50, 1, 64, 64), 0.5)
    noise = add_noise(image, generator(1)) - image
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)
    deviations = noise.std(dim=(1, 2, 3))
    assert 0 < deviations.min() < 0.02 and 0.04 < deviations.max() < 0.055
    # Of a variance from 0 to that of NOISE.
    assert (deviations**2).mean().item() == pytest.approx(distortion.NOISE**2 / 2, rel=0.3)


def test_blur_is_a_gaussian_filter(monkeypatch):
    monkeypatch.setattr(distortion, "BLUR", (0.8, 0.8))
    image = slices(2, 3)
    expected = gaussian_filter(image.numpy(), (0, 0, 0.8, 0.8), mode="nearest", radius=(0, 0, 3, 3))
    torch.testing.assert_close(blur(image, generator(0)), torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_contrast_spreads_around_the_mean(monkeypatch):
    monkeypatch.setattr(distortion, "CONTRAST", (1.25, 1.25))
    image = slices()
    changed = change_contrast(image, generator(0))
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3)), image.mean(dim=(1, 2, 3)))
    torch.testing.assert_close(changed.std(dim=(1, 2, 3)), 1.25 * image.std(dim=(1, 2, 3)))


def test_a_lower_resolution_loses_detail_and_keeps_what_is_even(monkeypatch):
    monkeypatch.setattr(distortion, "LOW_RESOLUTION", (0.5, 0.5))
    checkered = (torch.arange(24)[:, None] + torch.arange(40)).remainder(2).float()[None, None]
    assert lower_resolution(checkered, generator(0)).std() < 0.1
    even = torch.full((1, 1, 24, 40), 0.3)
    torch.testing.assert_close(lower_resolution(even, generator(0)), even)


def test_gamma_bends_intensities_and_keeps_mean_and_deviation(monkeypatch):
    monkeypatch.setattr(distortion, "GAMMA", (1.5, 1.5))
    image = slices()
    for changed, power in (
        (change_gamma(image, generator(0)), image**1.5),
        (change_inverted_gamma(image, generator(0)), 1 - (1 - image) ** 1.5),
    ):
        axes = (1, 2, 3)
        torch.testing.assert_close(changed.mean(axes), image.mean(axes))
        torch.testing.assert_close(changed.std(axes), image.std(axes), atol=1e-4, rtol=1e-4)
        standard = (power - power.mean(axes, keepdim=True)) / power.std(axes, keepdim=True)
        again = (changed - changed.mean(axes, keepdim=True)) / changed.std(axes, keepdim=True)
        torch.testing.assert_close(again, standard, atol=1e-3, rtol=1e-3)


def test_a_slice_of_one_value_stays_finite():
    image = torch.full((2, 1, 8, 8), 0.5)
    torch.testing.assert_close(change_gamma(image, generator(0)), image)
