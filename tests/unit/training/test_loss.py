import monai.losses
import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from lesionbench.experiment.config import read_schema
from lesionbench.training.loss import deep_loss, dice_ce_loss, dice_loss, find_loss

LOSSES = read_schema()["properties"]["training"]["properties"]["loss"]["enum"]


def batch(seed: int, lesion: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(3, 1, 5, 7, generator=generator)
    return logits, (torch.rand(logits.shape, generator=generator) < lesion).to(torch.uint8)


def test_dice_loss_by_hand():
    logits = torch.zeros(1, 1, 2, 2)  # p = 1/2 in four pixels, one of them lesion
    target = torch.tensor([[[[1, 0], [0, 0]]]])
    assert dice_loss(logits, target).item() == pytest.approx(1 - (2 * 0.5 + 1) / (2 + 1 + 1))
    assert dice_loss(logits, target, epsilon=3.0).item() == pytest.approx(1 - (2 * 0.5 + 3) / (2 + 1 + 3))
    valid = torch.tensor([[True, False], [True, False]])
    assert dice_loss(logits, target, valid).item() == pytest.approx(1 - (2 * 0.5 + 1) / (1 + 1 + 1))


def test_dice_ce_loss_by_hand():
    logits, target = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1, 0], [0, 0]]]])
    logits[..., 1, 1] = 50  # a gross mistake, but in the padding
    valid = torch.tensor([[1, 1], [1, 0]])
    expected = 1 - (2 * 0.5 + 1) / (1.5 + 1 + 1) + torch.log(torch.tensor(2.0)).item()
    assert dice_ce_loss(logits, target, valid).item() == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_dice_loss_agrees_with_smp_and_monai(seed):
    # smp adds its constant to the numerator of I / (I + ½ FP + ½ FN), where it counts twice
    logits, target = batch(seed)
    ours = dice_loss(logits, target)
    assert 0 <= ours <= 1
    torch.testing.assert_close(ours, smp.losses.DiceLoss("binary", smooth=0.5)(logits, target))
    torch.testing.assert_close(
        ours, monai.losses.DiceLoss(sigmoid=True, batch=True, smooth_nr=1, smooth_dr=1)(logits, target)
    )


def test_a_batch_without_lesion_has_the_gradient_that_smp_gives_up():
    logits, target = batch(0, lesion=0)
    logits.requires_grad_()
    loss = dice_loss(logits, target)
    loss.backward()
    assert (logits.grad > 0).all()
    torch.testing.assert_close(
        loss, monai.losses.DiceLoss(sigmoid=True, batch=True, smooth_nr=1, smooth_dr=1)(logits, target)
    )
    assert smp.losses.DiceLoss("binary", smooth=0.5)(logits, target) == 0


def test_dice_ce_is_the_sum_of_both():
    logits, target = batch(1)
    expected = dice_loss(logits, target) + binary_cross_entropy_with_logits(logits, target.float())
    torch.testing.assert_close(dice_ce_loss(logits, target), expected)


@pytest.mark.parametrize("loss", [find_loss(name) for name in LOSSES], ids=LOSSES)
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_padding_changes_neither_value_nor_gradient(loss, dtype):
    logits, target = batch(2)
    frame = (1, 4, 2, 3)
    padded = pad(logits, frame, value=9.0).requires_grad_()
    valid = pad(torch.ones(1, 1, *logits.shape[-2:]), frame).to(dtype)
    logits.requires_grad_()
    bare, framed = loss(logits, target), loss(padded, pad(target, frame, value=1), valid)
    torch.testing.assert_close(framed, bare)
    bare.backward()
    framed.backward()
    torch.testing.assert_close(padded.grad, pad(logits.grad, frame))


@pytest.mark.parametrize("loss", [find_loss(name) for name in LOSSES], ids=LOSSES)
def test_sums_are_in_float32_under_bfloat16_autocast(loss):
    logits = torch.full((4, 1, 32, 32), 0.1, dtype=torch.bfloat16)
    target = torch.ones(logits.shape, dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.float(), target), rtol=1e-6, atol=0)


def test_outputs_at_lower_resolutions_weigh_half_as_much_each():
    logits, target = batch(3)
    halves, quarters = torch.randn(3, 1, 2, 3), torch.randn(3, 1, 1, 2)
    valid = torch.ones(3, 1, 5, 7, dtype=torch.bool)
    valid[:, :, :, 5:] = False
    value = deep_loss(dice_ce_loss, [logits, halves, quarters], target, valid)
    # The nearest pixels: rows 1 and 3 of 5, columns 1, 3 and 5 of 7; row 2, columns 1 and 5.
    smaller = [(logits, target, valid)]
    for output, rows, columns in ((halves, [1, 3], [1, 3, 5]), (quarters, [2], [1, 5])):
        smaller.append((output, target[:, :, rows][..., columns], valid[:, :, rows][..., columns]))
    expected = sum(weight * dice_ce_loss(*part) for weight, part in zip((4 / 7, 2 / 7, 1 / 7), smaller, strict=True))
    torch.testing.assert_close(value, expected)


def test_a_single_output_has_the_loss_itself():
    logits, target = batch(4)
    assert torch.equal(deep_loss(dice_loss, [logits], target), dice_loss(logits, target))
