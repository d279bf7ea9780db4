"""Sinkhorn codes and swapped prediction."""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives.prototypes import co_occurrence, sinkhorn, swapped_prediction


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


def test_co_occurrence_by_hand():
    present = torch.tensor([[1, 1, 0], [1, 0, 0]])
    # Finding 0 twice, once with 1; finding 2 never: one pseudo-count on the diagonal.
    torch.testing.assert_close(co_occurrence(present), torch.tensor([[3 / 4, 1 / 4, 0], [1 / 3, 2 / 3, 0], [0, 0, 1]]))


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


def test_prototypes_are_shared_out_among_the_rows_of_all_ranks(scores):
    """Two ranks, one after the other, each of which gathers from the other what is prepared here."""
    other, some = scores.flip(0), torch.arange(32) % 5 > 0

    class OneOfTwo:
        def __init__(self, rank):
            self.rank = rank

        def gather(self, rows):
            whole = [full for full in (scores, other, some) if full[self.rank].equal(rows)]
            return whole[0].flatten(0, 1) if whole else some.sum(1).to(rows.dtype)

        def first_row(self, rows):
            return self.rank * rows

    scores, other, some = scores.unflatten(0, (2, 16)), other.unflatten(0, (2, 16)), some.unflatten(0, (2, 16))
    per_rank = [swapped_prediction(scores[r], other[r], valid=some[r], ranks=OneOfTwo(r)) for r in (0, 1)]
    whole = swapped_prediction(scores.flatten(0, 1), other.flatten(0, 1), valid=some.flatten())
    torch.testing.assert_close(sum(per_rank) / 2, whole)
