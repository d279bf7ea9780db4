"""Batch norm over the rows that count: against torch's, on a subset, and over two ranks."""

import torch
from torch import nn

from medvlp.models import BatchNormProjector, MaskedBatchNorm

COUNTS = torch.tensor([1, 1, 0, 1, 0, 1, 1]).bool()


def test_equals_the_batch_norm_of_torch():
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(3).double(), nn.BatchNorm1d(3).double()
    for _ in range(3):
        x = 2 + torch.randn(7, 3, dtype=torch.float64)
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    torch.testing.assert_close(ours(x.unflatten(0, (7, 1))), ours(x)[:, None])


def test_rows_that_do_not_count_are_in_no_statistic():
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    whole, part = MaskedBatchNorm(3).double(), MaskedBatchNorm(3).double()
    junk = torch.where(COUNTS[:, None], x, 1e3)
    torch.testing.assert_close(whole(junk, COUNTS)[COUNTS], part(x[COUNTS]))
    torch.testing.assert_close(whole.running_var, part.running_var)
    assert torch.autograd.gradcheck(lambda rows: MaskedBatchNorm(3).double()(rows, COUNTS), x)


def test_a_row_that_does_not_count_may_hold_anything():
    x = torch.randn(7, 3)
    for junk in (1e30, float("inf"), float("nan")):
        norm, clean = MaskedBatchNorm(3), MaskedBatchNorm(3)
        torch.testing.assert_close(
            norm(x.masked_fill(~COUNTS[:, None], junk), COUNTS)[COUNTS], clean(x, COUNTS)[COUNTS]
        )
        torch.testing.assert_close(norm.running_mean, clean.running_mean)


def test_without_any_row_nothing_moves_and_nothing_breaks():
    head, x = BatchNormProjector(4, 6, 3), torch.randn(5, 4, requires_grad=True)
    (head(x, torch.zeros(5).bool()) * torch.zeros(5, 1)).sum().backward()
    assert not head.outer_norm.running_mean.any()
    assert (head.outer_norm.running_var == 1).all()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_one_row_stays_finite():
    head, x = BatchNormProjector(4, 6, 3), torch.randn(1, 4, requires_grad=True)
    head(x).sum().backward()
    assert x.grad.isfinite().all()


def test_unit_vectors_in_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        out = BatchNormProjector(8, 6, 4)(torch.randn(9, 8))
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(9))


def test_two_ranks_normalize_as_one(on_two_ranks):
    torch.manual_seed(0)
    head = BatchNormProjector(4, 6, 3).double()
    x = torch.randn(8, 4, dtype=torch.float64)
    valid = torch.tensor([1, 1, 0, 1, 0, 0, 0, 1]).bool()
    expected = head(x, valid)
    got = on_two_ranks(lambda rank, ranks: head(x.chunk(2)[rank], valid.chunk(2)[rank], ranks))
    torch.testing.assert_close(torch.cat(got), expected)
