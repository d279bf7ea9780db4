"""Attention pooling: masked tails, one token, order, empty rows.
Words and concepts as means of their pieces, against loops.
"""

import pytest
import torch

from medvlp.models import AttentionPool, ReportTokenizer, WordPooling, grid_position, pool_words, span_mean


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


def test_a_masked_tail_is_as_if_cut_off(pool, tokens):
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


def test_a_query_of_zero_is_the_mean_of_the_values(pool, tokens):
    mask = torch.tensor([[1, 0, 1, 1, 0]] * 3).bool()
    with torch.no_grad():
        pool.query.weight.zero_()
        pool.query.bias.zero_()
    torch.testing.assert_close(pool(tokens, mask), pool.out(pool.value(tokens[:, [0, 2, 3]]).mean(1)))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="3 heads"):
        AttentionPool(8, heads=3)


CONTINUES = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1]).bool()  # pieces 6 and 7 continue a word
IDS = torch.tensor([[2, 4, 6, 7, 5, 3], [2, 5, 4, 6, 3, 0], [6, 4, 3, 0, 0, 0]])
MASK = torch.tensor([[0, 1, 1, 1, 1, 0], [0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]).bool()


def slow_words(tokens):
    texts = []
    for n in range(len(IDS)):
        words = []
        for t in range(IDS.shape[1]):
            if MASK[n, t] and (not words or not CONTINUES[IDS[n, t]]):
                words.append([tokens[n, t]])
            elif MASK[n, t]:
                words[-1].append(tokens[n, t])
        texts.append([torch.stack(word).mean(0) for word in words])
    return texts


def test_words_are_the_means_of_their_pieces():
    torch.manual_seed(0)
    tokens = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)
    words, mask = pool_words(tokens, IDS, MASK, CONTINUES)
    assert mask.sum(1).tolist() == [2, 2, 2]
    for n, expected in enumerate(slow_words(tokens)):
        torch.testing.assert_close(words[n, : len(expected)], torch.stack(expected))
    assert not words[~mask].any()
    assert torch.autograd.gradcheck(lambda x: pool_words(x, IDS, MASK, CONTINUES)[0], tokens)


def test_what_stands_in_the_padding_does_not_matter():
    tokens = torch.randn(3, 6, 4)
    junk = torch.where(MASK[..., None], tokens, 1e3)
    torch.testing.assert_close(pool_words(junk, IDS, MASK, CONTINUES)[0], pool_words(tokens, IDS, MASK, CONTINUES)[0])


def test_a_gap_between_the_pieces_of_a_word_is_not_in_its_mean():
    tokens, mask = torch.randn(1, 6, 4), torch.tensor([[0, 1, 0, 1, 1, 0]]).bool()
    words, found = pool_words(tokens, IDS[:1], mask, CONTINUES)  # pieces 4, (6), ##7, 5
    assert found.sum() == 2
    torch.testing.assert_close(words[0, 0], (tokens[0, 1] + tokens[0, 3]) / 2)
    torch.testing.assert_close(words[0, 1], tokens[0, 4])


def test_half_precision_and_empty_texts():
    tokens = torch.randn(3, 6, 4).bfloat16().requires_grad_()
    words, found = pool_words(tokens, IDS, torch.zeros_like(MASK), CONTINUES)
    assert not words.any()
    assert not found.any()
    words, _ = pool_words(tokens, IDS, MASK, CONTINUES)
    torch.testing.assert_close(words[0, 1], tokens[0, 4])
    words.sum().backward()
    assert not tokens.grad[~MASK].any()


def test_it_runs_without_asking_the_device():
    arguments = (torch.randn(3, 6, 4), IDS, MASK, CONTINUES)
    assert pool_words(*(x.to("meta") for x in arguments))[0].shape == (3, 6, 4)


def test_a_span_is_the_mean_of_its_slice_and_an_empty_one_is_zero():
    tokens = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    start, end = torch.tensor([[0, 3], [2, 5]]), torch.tensor([[1, 3], [5, 6]])
    got = span_mean(tokens, start, end)
    torch.testing.assert_close(got[0, 0], tokens[0, 0])
    assert not got[0, 1].any()
    torch.testing.assert_close(got[1, 0], tokens[1, 2:5].mean(0))
    torch.testing.assert_close(got[1, 1], tokens[1, 5])
    assert torch.autograd.gradcheck(lambda x: span_mean(x, start, end), tokens)


def test_the_words_of_a_tokenizer_are_those_of_the_text_without_its_frame():
    tokenizer = ReportTokenizer.train(["effusion effusion", "left lung"] * 3, vocab_size=30)
    ids, mask = tokenizer(["left effusion lung", "", "lung"], 20)
    tokens = torch.randn(*ids.shape, 4)
    words, found = WordPooling(tokenizer)(tokens, ids, mask)
    assert found.sum(1).tolist() == [3, 0, 1]
    torch.testing.assert_close(words[2, 0], tokens[2, 1 : int(mask[2].sum()) - 1].mean(0))
