"""Dice and cross-entropy of masks: loops, hand values, and masks that nobody drew."""

import math

import pytest
import torch

from medvlp.objectives import NOT_ANNOTATED, pixel_bce, soft_dice


@pytest.fixture
def batch():
    torch.manual_seed(0)
    logits = torch.randn(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    masks = torch.randint(0, 2, (3, 2, 4, 5), dtype=torch.uint8)
    masks[1, 0] = NOT_ANNOTATED
    masks[2, 1] = 0
    return logits, masks


def slow_soft_dice(logits, masks, smooth):
    losses = []
    for b in range(len(logits)):
        for k in range(logits.shape[1]):
            if masks[b, k, 0, 0] == NOT_ANNOTATED:
                continue
            overlap = total = 0.0
            for logit, true in zip(logits[b, k].flatten(), masks[b, k].flatten(), strict=True):
                p, t = 1 / (1 + math.exp(-logit)), int(true)
                overlap += p * t
                total += p + t
            losses.append(1 - (2 * overlap + smooth) / (total + smooth))
    return sum(losses) / len(losses)


def slow_bce(logits, masks):
    losses = []
    for logit, true in zip(logits.flatten(), masks.flatten(), strict=True):
        if true != NOT_ANNOTATED:
            p = 1 / (1 + math.exp(-logit))
            losses.append(-math.log(p if true == 1 else 1 - p))
    return sum(losses) / len(losses)


def test_agree_with_loops(batch):
    logits, masks = batch[0].detach(), batch[1]
    assert float(soft_dice(logits, masks)) == pytest.approx(slow_soft_dice(logits, masks, 1.0), abs=1e-9)
    assert float(soft_dice(logits, masks, smooth=0.1)) == pytest.approx(slow_soft_dice(logits, masks, 0.1), abs=1e-9)
    assert float(pixel_bce(logits, masks)) == pytest.approx(slow_bce(logits, masks), abs=1e-9)


def test_hand_value():
    logits = torch.zeros(1, 1, 1, 4)  # probability 0.5 everywhere
    masks = torch.tensor([[[[1, 1, 0, 0]]]], dtype=torch.uint8)
    assert float(soft_dice(logits, masks)) == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))
    assert float(pixel_bce(logits, masks)) == pytest.approx(math.log(2))
    full = torch.ones_like(masks)
    assert float(soft_dice(logits, full)) == pytest.approx(1 - (2 * 2 + 1) / (2 + 4 + 1))
    assert float(pixel_bce(logits + math.log(3), full)) == pytest.approx(math.log(4 / 3))


def test_a_mask_that_nobody_drew_has_no_gradient(batch):
    logits, masks = batch
    (soft_dice(logits, masks) + pixel_bce(logits, masks)).backward()
    assert logits.grad[1, 0].abs().max() == 0
    assert logits.grad[1, 1].abs().min() > 0


def test_nothing_drawn_costs_nothing():
    logits = torch.randn(2, 1, 3, 3, requires_grad=True)
    masks = torch.full((2, 1, 3, 3), NOT_ANNOTATED, dtype=torch.uint8)
    loss = soft_dice(logits, masks) + pixel_bce(logits, masks)
    loss.backward()
    assert loss == 0
    assert logits.grad.abs().max() == 0


def test_an_empty_mask_is_learned_as_empty():
    masks = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    assert soft_dice(torch.full((1, 1, 8, 8), -20.0), masks) < 1e-4
    assert soft_dice(torch.full((1, 1, 8, 8), 20.0), masks) > 0.9
