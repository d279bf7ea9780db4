"""Sinkhorn codes and swapped prediction."""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import sinkhorn, swapped_prediction


@pytest.fixture
def scores():
    torch.manual_seed(0)
    features = F.normalize(torch.randn(32, 8, dtype=torch.float64), dim=1)
    return features @ F.normalize(torch.randn(10, 8, dtype=torch.float64), dim=1).t()


def slow_sinkhorn(scores, epsilon, iterations):
    q = (scores / epsilon).exp().t()
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / q.shape[0]
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).t()


@pytest.mark.parametrize("iterations", [1, 3])
def test_log_space_equals_the_plain_iteration(scores, iterations):
    torch.testing.assert_close(sinkhorn(scores, 20.0, iterations), slow_sinkhorn(scores, 0.05, iterations))


def test_rows_sum_to_one_and_prototypes_share_alike(scores):
    code = sinkhorn(scores, iterations=100)
    torch.testing.assert_close(code.sum(1), torch.ones(32).double())
    torch.testing.assert_close(code.sum(0), torch.full((10,), 3.2).double(), atol=1e-4, rtol=0)


def test_constant_scores_are_uniform_and_large_ones_stay_finite():
    torch.testing.assert_close(sinkhorn(torch.zeros(4, 5)), torch.full((4, 5), 0.2))
    assert sinkhorn(100 * torch.eye(4, 5).bfloat16()).isfinite().all()


def test_zero_scores_cost_log_k():
    assert swapped_prediction(torch.zeros(4, 5), torch.zeros(4, 5)).item() == pytest.approx(math.log(5), abs=1e-6)
    apart = swapped_prediction(torch.randn(4, 5), torch.randn(4, 5), temperature=math.inf)
    assert apart.item() == pytest.approx(math.log(5), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 0.2])
def test_each_predicts_the_code_of_the_other(scores, temperature):
    other, total = scores.flip(0), 0.0
    for guess, code in ((scores, slow_sinkhorn(other, 0.05, 3)), (other, slow_sinkhorn(scores, 0.05, 3))):
        for row, share in zip(guess, code, strict=True):
            log_sum = math.log(sum(math.exp(x / temperature) for x in row))
            total -= sum(q * (x / temperature - log_sum) for q, x in zip(share, row, strict=True)) / 2 / len(scores)
    torch.testing.assert_close(swapped_prediction(scores, other, temperature), total, atol=1e-9, rtol=0)


def test_one_pair_uses_all_prototypes_alike():
    first = torch.tensor([[1.0, 0.0, 0.0]])
    logs = torch.tensor([5.0, 0.0, 0.0]).log_softmax(0)
    expected = 0.5 * (-logs.mean() + math.log(3))
    torch.testing.assert_close(swapped_prediction(first, torch.zeros(1, 3)), expected)


def test_swapping_the_modalities_changes_nothing(scores):
    other = scores.flip(0)
    torch.testing.assert_close(swapped_prediction(scores, other), swapped_prediction(other, scores))
    assert swapped_prediction(scores, scores) < swapped_prediction(scores, other)


def test_gradients_flow_through_the_prediction_alone(scores):
    small = scores[:4, :3].clone().requires_grad_()
    code = sinkhorn(small.flip(0))
    assert not code.requires_grad
    expected = -(code * (small / 0.2).log_softmax(1)).sum(1).mean()
    (gradient,) = torch.autograd.grad(swapped_prediction(small, small.detach().flip(0)), small)
    (half,) = torch.autograd.grad(expected, small)
    torch.testing.assert_close(gradient, half / 2)


def test_rows_that_are_no_pair_have_no_part(scores):
    other, some = scores.flip(0), torch.arange(32) % 3 > 0
    torch.testing.assert_close(sinkhorn(scores, valid=some)[some], sinkhorn(scores[some]))
    junk = torch.where(some[:, None], scores, 50.0).requires_grad_()
    loss = swapped_prediction(junk, other, valid=some)
    torch.testing.assert_close(loss, swapped_prediction(scores[some], other[some]))
    loss.backward()
    assert not junk.grad[~some].any()
    nothing = swapped_prediction(junk, other, valid=torch.zeros_like(some))
    assert nothing.item() == 0
    (gradient,) = torch.autograd.grad(nothing, junk)
    assert not gradient.any()
