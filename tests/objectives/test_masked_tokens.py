"""Hiding tokens and telling them: rates, what is never hidden, and the loss against a loop."""

import math

import pytest
import torch

from medvlp.objectives import mask_tokens, masked_token_loss

MASK, VOCABULARY = 4, 1000
IDS = torch.arange(100, 140).repeat(200, 1)
WORDS = torch.ones(200, 40, dtype=torch.bool)
WORDS[:, [0, 39]] = False  # [CLS] and [SEP]
WORDS[100:, 21:] = False  # shorter texts, 20 words


@pytest.fixture
def hidden():
    torch.manual_seed(0)
    return mask_tokens(IDS, WORDS, MASK, VOCABULARY)


def test_fifteen_per_cent_of_the_words_of_each_text_are_hidden(hidden):
    assert hidden.valid.sum(1).tolist() == [6] * 100 + [3] * 100  # round(5.7), round(3)
    places = [row[keep].tolist() for row, keep in zip(hidden.position, hidden.valid, strict=True)]
    assert all(len(set(row)) == len(row) for row in places)
    assert all(WORDS[i, row].all() for i, row in enumerate(places))
    assert len({p for row in places[:100] for p in row}) == 38  # every word is hidden somewhere


def test_the_truth_is_what_stood_there_and_the_rest_is_untouched(hidden):
    assert torch.equal(hidden.labels, IDS.gather(1, hidden.position))
    touched = torch.zeros_like(WORDS).scatter(1, hidden.position, hidden.valid)
    assert torch.equal(hidden.ids[~touched], IDS[~touched])


def test_what_hidden_tokens_become(hidden):
    seen, labels = hidden.ids.gather(1, hidden.position)[hidden.valid], hidden.labels[hidden.valid]
    shares = [(seen == MASK).float().mean().item(), (seen == labels).float().mean().item()]
    assert shares == pytest.approx([0.8, 0.1], abs=0.04)
    other = seen[(seen != MASK) & (seen != labels)]
    assert other.min() >= 0
    assert other.max() < VOCABULARY
    assert len(set(other.tolist())) > 50


def test_without_drawing_the_same_places_are_hidden_by_the_mask(hidden):
    first, second = (mask_tokens(IDS, WORDS, MASK, VOCABULARY, sample=False) for _ in range(2))
    assert torch.equal(first.ids, second.ids)
    assert (first.ids == MASK).sum(1).tolist() == [6] * 100 + [3] * 100
    order = torch.randperm(200)
    assert torch.equal(mask_tokens(IDS[order], WORDS[order], MASK, VOCABULARY, sample=False).ids, first.ids[order])


def test_one_word_is_hidden_at_least_and_none_of_an_empty_text():
    words = torch.tensor([[False, True, False], [False, False, False]])
    hidden = mask_tokens(torch.tensor([[2, 9, 3], [0, 0, 0]]), words, MASK, VOCABULARY, sample=False)
    assert hidden.ids.tolist() == [[2, 4, 3], [0, 0, 0]]
    assert hidden.valid.tolist() == [[True], [False]]


def test_the_loss_is_the_mean_over_hidden_tokens_of_all_texts():
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 7, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(7, (3, 4))
    valid = torch.tensor([[True, True, False, False], [False] * 4, [True, True, True, True]])
    terms = [
        math.log(sum(math.exp(x) for x in logits[n, k].tolist())) - logits[n, k, labels[n, k]].item()
        for n in range(3)
        for k in range(4)
        if valid[n, k]
    ]
    assert masked_token_loss(logits, labels, valid).item() == pytest.approx(sum(terms) / 6, abs=1e-12)
    assert torch.autograd.gradcheck(lambda x: masked_token_loss(x, labels, valid), logits)
    (gradient,) = torch.autograd.grad(masked_token_loss(logits, labels, valid), logits)
    assert not gradient[~valid].any()


def test_equal_logits_cost_log_v_and_nothing_hidden_costs_nothing():
    valid = torch.ones(2, 3, dtype=torch.bool)
    labels = torch.zeros(2, 3, dtype=torch.int64)
    assert masked_token_loss(torch.zeros(2, 3, 50), labels, valid).item() == pytest.approx(math.log(50), abs=1e-6)
    assert masked_token_loss(torch.randn(2, 3, 50), labels, ~valid).item() == 0
