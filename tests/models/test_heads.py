"""Projection heads end on the unit sphere, in float32.
The cosine classifier against its formula.
Batch norm over the rows that count: against torch's, on a subset, and over two ranks.
The head of masked tokens: it reads the places asked for, and answers in the space of the embeddings.
Two streams that add up.
"""

import pytest
import torch
from torch import nn

from medvlp.models import (
    BatchNormProjector,
    DisentanglingGate,
    MaskedBatchNorm,
    MaskedTokenHead,
    ProjectionHead,
    PrototypeHead,
)


@pytest.mark.parametrize("hidden", [None, 12])
def test_unit_vectors_in_float32_under_autocast(hidden):
    head = ProjectionHead(8, 4, hidden)
    with torch.autocast("cpu", torch.bfloat16):
        out = head(torch.randn(3, 5, 8))
    assert out.shape == (3, 5, 4)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(3, 5))


def test_zero_stays_finite():
    assert ProjectionHead(8, 4)(torch.zeros(1, 8)).isfinite().all()


def test_logits_are_scaled_cosines_with_prototypes():
    torch.manual_seed(0)
    head = PrototypeHead(6, 4, 3)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.0, 1.0, -2.0]))
    x = torch.randn(5, 6)
    for b, row in enumerate(head(x)):
        z = head.head.layers.weight @ x[b]
        for e, logit in enumerate(row):
            w = head.prototypes[e]
            torch.testing.assert_close(logit, (z @ w) / (z.norm() * w.norm()) / 0.07 + head.bias[e])
    torch.testing.assert_close(head(3 * x), head(x))


def test_a_bias_that_is_not_learned_stays_at_zero():
    head = PrototypeHead(6, 4, 3, bias=False)
    head(torch.randn(5, 6)).sum().backward()
    assert head.bias.grad is None
    assert not head.bias.any()


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


def test_the_projector_gives_unit_vectors_in_float32_under_autocast():
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


def test_logits_are_products_with_the_embedding_at_the_places():
    torch.manual_seed(0)
    head, tokens, embedding = MaskedTokenHead(8, 11), torch.randn(2, 5, 8), torch.randn(11, 8)
    place = torch.tensor([[3, 0], [4, 4]])
    logits = head(tokens, place, embedding)
    assert logits.shape == (2, 2, 11)
    for n in range(2):
        for k in range(2):
            hidden = head.norm(torch.nn.functional.gelu(head.dense(tokens[n, place[n, k]])))
            torch.testing.assert_close(logits[n, k], embedding @ hidden)
    with torch.no_grad():
        head.bias[2] = 5.0
    torch.testing.assert_close(head(tokens, place, embedding)[..., 2], logits[..., 2] + 5)


@pytest.mark.parametrize("bounded", [True, False])
def test_the_streams_add_up_to_the_input(bounded):
    torch.manual_seed(0)
    split, x = DisentanglingGate(16, bounded).double(), torch.randn(2, 9, 16, dtype=torch.float64)
    what, where = split(x)
    torch.testing.assert_close(what + where, x)
    gate = split.gate(x)
    torch.testing.assert_close(what, (gate.sigmoid() if bounded else gate) * x)


def test_a_bounded_stream_is_a_share_of_its_input():
    split, x = DisentanglingGate(16), torch.randn(2, 9, 16) * 10
    with torch.no_grad():
        what, _ = split(x)
        free, _ = DisentanglingGate(16, bounded=False)(x)
    assert (what.abs() <= x.abs()).all()
    assert (free.abs() > x.abs()).any()
