"""Attention pooling: masked tails, one token, order, empty rows."""

import pytest
import torch

from medvlp.models import AttentionPool, grid_position


@pytest.fixture
def pool():
    torch.manual_seed(0)
    return AttentionPool(8, heads=2).double()


@pytest.fixture
def tokens():
    torch.manual_seed(1)
    return torch.randn(3, 5, 8, dtype=torch.float64)


def test_one_token_takes_the_way_of_the_values(pool, tokens):
    one = tokens[:, :1]
    torch.testing.assert_close(pool(one), pool.out(pool.value(one[:, 0])))


def test_equal_tokens_give_their_value(pool, tokens):
    same = tokens[:, :1].expand(-1, 5, -1)
    torch.testing.assert_close(pool(same), pool.out(pool.value(tokens[:, 0])))


def test_equals_attention_written_out(pool, tokens):
    asked = pool.query(tokens[0].mean(0)).view(2, 4)
    key, value = (f(tokens[0]).view(5, 2, 4) for f in (pool.key, pool.value))
    heads = [(key[:, h] @ asked[h] / 2).softmax(0) @ value[:, h] for h in range(2)]
    torch.testing.assert_close(pool(tokens)[0], pool.out(torch.cat(heads)))


@pytest.mark.parametrize("query", ["mean", "learned"])
def test_a_masked_tail_is_as_if_cut_off(tokens, query):
    pool = AttentionPool(8, heads=2, query=query).double()
    mask = torch.tensor([[1, 1, 1, 0, 0]] * 3).bool()
    torch.testing.assert_close(pool(tokens, mask), pool(tokens[:, :3]))
    assert pool(tokens).shape == (3, 8)


def test_order_does_not_matter(pool, tokens):
    torch.testing.assert_close(pool(tokens[:, [3, 1, 4, 0, 2]]), pool(tokens))


def test_a_row_without_tokens_is_zero_with_finite_gradient(pool, tokens):
    tokens.requires_grad_()
    out = pool(tokens, torch.tensor([[1] * 5, [0] * 5, [1] * 5]).bool())
    assert not out[1].any()
    out.sum().backward()
    assert tokens.grad.isfinite().all()
    assert not tokens.grad[1].any()


def test_a_position_code_makes_the_order_matter_and_leaves_padding_out(pool, tokens):
    """The slices of a volume: their place is a share of those that there are."""
    order, mask = torch.tensor([2, 0, 1, 4, 3]), torch.tensor([[1, 1, 1, 0, 0]] * 3).bool()
    whole, part = (grid_position((n,), 8, tokens) for n in (5, 3))
    assert (pool(tokens[:, order] + whole) - pool(tokens + whole)).abs().max() > 1e-3
    padded = torch.nn.functional.pad(tokens[:, :3] + part, (0, 0, 0, 2), value=1e3)
    torch.testing.assert_close(pool(padded, mask), pool(tokens[:, :3] + part))


def test_a_query_of_zero_is_the_mean_of_the_values(tokens):
    pool, mask = AttentionPool(8, heads=2, query="learned").double(), torch.tensor([[1, 0, 1, 1, 0]] * 3).bool()
    with torch.no_grad():
        pool.query.weight.zero_()
        pool.query.bias.zero_()
    torch.testing.assert_close(pool(tokens, mask), pool.out(pool.value(tokens[:, [0, 2, 3]]).mean(1)))


def test_a_wrong_query_is_refused():
    with pytest.raises(ValueError, match="max"):
        AttentionPool(8, query="max")
