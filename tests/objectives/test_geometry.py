"""Alignment and orthogonality: values that can be said in advance."""

import math

import pytest
import torch

from medvlp.objectives import effective_rank, gram_orthogonality, pair_alignment

LAMBDA = 0.0051


def test_alignment_runs_from_zero_to_eight_and_ignores_length():
    z = torch.randn(6, 8, dtype=torch.float64)
    assert pair_alignment(z, 3 * z).item() == pytest.approx(0, abs=1e-7)
    assert pair_alignment(z, -z).item() == pytest.approx(8, abs=1e-7)
    other = torch.randn(6, 8, dtype=torch.float64)
    torch.testing.assert_close(pair_alignment(5 * z, other), pair_alignment(z, other))


def test_orthonormal_columns_cost_nothing():
    q, _ = torch.linalg.qr(torch.randn(16, 5, dtype=torch.float64))
    assert gram_orthogonality(4 * q).item() == pytest.approx(0, abs=1e-9)


def test_collapses_by_hand():
    assert gram_orthogonality(torch.zeros(16, 5)).item() == pytest.approx(2.5)
    assert gram_orthogonality(torch.ones(16, 5)).item() == pytest.approx(LAMBDA * 20 / 2)
    assert gram_orthogonality(torch.ones(16, 5), center=True).item() == pytest.approx(2.5)


def test_few_rows_cannot_fall_below_the_rank_bound():
    q, _ = torch.linalg.qr(torch.randn(9, 4, dtype=torch.float64))
    assert gram_orthogonality(2 * q.t(), off_diagonal=1.0).item() == pytest.approx((9 - 4) / 2, abs=1e-9)


def test_equals_a_loop_and_its_gradient():
    z = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    total = 0.0
    for i in range(3):
        for j in range(3):
            c = sum(z[n, i] * z[n, j] for n in range(7)) / 7
            total = total + ((c - 1) ** 2 if i == j else LAMBDA * c**2)
    torch.testing.assert_close(gram_orthogonality(z), total / 2)
    assert torch.autograd.gradcheck(gram_orthogonality, z)
    assert torch.autograd.gradcheck(lambda x: pair_alignment(x, x.flip(0)), z)


def test_effective_rank_of_a_collapse_and_of_a_ball():
    line = torch.randn(200, 1, dtype=torch.float64) * torch.randn(1, 6, dtype=torch.float64)
    assert effective_rank(line).item() == pytest.approx(1, abs=1e-6)
    assert effective_rank(torch.randn(5000, 6, dtype=torch.float64)).item() == pytest.approx(6, abs=0.05)
    assert math.isfinite(effective_rank(torch.ones(3, 2)).item())


def test_rows_that_do_not_count_have_no_influence():
    torch.manual_seed(0)
    z, other = torch.randn(2, 7, 3, dtype=torch.float64)
    valid = torch.tensor([1, 1, 0, 1, 0, 1, 1]).bool()
    junk = torch.where(valid[:, None], z, 1e3)
    for center in (False, True):
        got = gram_orthogonality(junk, center=center, valid=valid)
        torch.testing.assert_close(got, gram_orthogonality(z[valid], center=center))
    torch.testing.assert_close(pair_alignment(junk, other, valid), pair_alignment(z[valid], other[valid]))
    assert torch.autograd.gradcheck(lambda x: gram_orthogonality(x, center=True, valid=valid), z.requires_grad_())


def test_nothing_that_counts_costs_nothing():
    z, nothing = torch.randn(4, 3, requires_grad=True), torch.zeros(4).bool()
    total = gram_orthogonality(z, valid=nothing) + pair_alignment(z, z.flip(0), nothing)
    total.backward()
    assert total.item() == 0
    assert not z.grad.any()
