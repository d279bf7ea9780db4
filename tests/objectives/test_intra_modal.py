"""Whole against parts, by a loop over every part."""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import global_local_contrast


def by_loop(whole, parts, mask, group, scale):
    rows = []
    for b in range(len(whole)):
        strangers = sum(
            math.exp(scale * whole[b] @ parts[c, p])
            for c in range(len(parts))
            for p in range(parts.shape[1])
            if group[c] != group[b] and mask[c, p]
        )
        own = [math.exp(scale * whole[b] @ parts[b, p]) for p in range(parts.shape[1]) if mask[b, p]]
        if own:
            rows.append(sum(-math.log(score / (score + strangers)) for score in own) / len(own))
    return sum(rows) / len(rows)


@pytest.fixture
def case():
    torch.manual_seed(0)
    whole = F.normalize(torch.randn(5, 6, dtype=torch.float64), dim=1)
    parts = F.normalize(torch.randn(5, 4, 6, dtype=torch.float64), dim=2)
    mask = torch.rand(5, 4) < 0.7
    mask[1] = False
    return whole, parts, mask, torch.tensor([0, 1, 2, 0, 4])


def test_the_loss_is_that_of_a_loop(case):
    assert global_local_contrast(*case, 3.0).item() == pytest.approx(by_loop(*case, 3.0), abs=1e-9)


def test_gradients(case):
    whole, parts, mask, group = case
    whole.requires_grad_()
    parts.requires_grad_()
    assert torch.autograd.gradcheck(lambda w, p: global_local_contrast(w, p, mask, group, 3.0), (whole, parts))
    global_local_contrast(whole, parts, mask, group, 3.0).backward()
    assert not parts.grad[~mask].any()


def test_order_of_the_batch_and_padding_do_not_matter(case):
    whole, parts, mask, group = case
    expected, order = global_local_contrast(*case, 3.0), torch.tensor([3, 1, 4, 0, 2])
    shuffled = global_local_contrast(whole[order], parts[order], mask[order], group[order], 3.0)
    torch.testing.assert_close(shuffled, expected)
    parts[~mask] = 100.0
    torch.testing.assert_close(global_local_contrast(whole, parts, mask, group, 3.0), expected)


def test_edges(case):
    whole, parts, mask, group = case
    nothing = torch.zeros_like(mask)
    assert global_local_contrast(whole, parts, nothing, group, 3.0) == 0
    alone = torch.zeros_like(group)  # all reports are equal: no negatives
    assert global_local_contrast(whole, parts, mask, alone, 3.0).item() == pytest.approx(0.0, abs=1e-9)
    same = torch.ones(2, 3, 1) / 1.0
    loss = global_local_contrast(torch.ones(2, 1), same, torch.ones(2, 3, dtype=torch.bool), torch.arange(2), 5.0)
    assert loss.item() == pytest.approx(math.log(4), abs=1e-6)  # one against three, all alike
