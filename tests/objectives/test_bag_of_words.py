"""Words as classes, against a loop over words."""

import math

import pytest
import torch

from medvlp.models import DocumentFrequency
from medvlp.objectives import bag_cross_entropy, bag_of_words


def test_a_bag_holds_each_word_once_and_no_padding():
    tokens, mask = torch.tensor([[3, 3, 1, 0], [2, 0, 3, 3]]), torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]]).bool()
    assert bag_of_words(tokens, mask, 5).tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]
    assert not bag_of_words(tokens, torch.zeros_like(mask), 5).any()


def test_the_loss_is_that_of_a_loop():
    torch.manual_seed(0)
    logits, weights = torch.randn(5, 7, dtype=torch.float64), torch.rand(7, dtype=torch.float64)
    bag = (torch.rand(5, 7) < 0.4).double()
    bag[3] = 0
    expected, texts = 0.0, 0
    for row, held in zip(logits, bag, strict=True):
        total = sum(w for w, x in zip(weights, held, strict=True) if x)
        if not total:
            continue
        texts += 1
        for c in range(7):
            if held[c]:
                expected -= weights[c] / total * (row[c] - math.log(sum(math.exp(value) for value in row)))
    torch.testing.assert_close(bag_cross_entropy(logits, bag * weights), expected / texts, rtol=1e-9, atol=1e-9)


def test_edges():
    assert bag_cross_entropy(torch.zeros(2, 8), torch.zeros(2, 8)) == 0
    one_word = torch.eye(8)[:1]
    assert bag_cross_entropy(torch.zeros(1, 8), one_word).item() == pytest.approx(math.log(8), abs=1e-6)
    assert bag_cross_entropy(1e3 * one_word, one_word).item() == pytest.approx(0.0, abs=1e-6)
    all_words = torch.ones(1, 8)
    assert bag_cross_entropy(torch.zeros(1, 8), all_words).item() == pytest.approx(math.log(8), abs=1e-6)
    torch.testing.assert_close(  # only the share counts
        bag_cross_entropy(torch.arange(8.0)[None], 3 * one_word), bag_cross_entropy(torch.arange(8.0)[None], one_word)
    )


def test_gradients():
    torch.manual_seed(0)
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weighted = torch.rand(3, 5, dtype=torch.float64) * torch.tensor([[1.0], [1.0], [0.0]])
    assert torch.autograd.gradcheck(lambda x: bag_cross_entropy(x, weighted), logits)
    bag_cross_entropy(logits, weighted).backward()
    assert not logits.grad[2].any()


def test_order_of_the_texts_does_not_matter():
    torch.manual_seed(0)
    logits, weighted, order = torch.randn(4, 6), torch.rand(4, 6), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(bag_cross_entropy(logits, weighted), bag_cross_entropy(logits[order], weighted[order]))


def test_frequencies_are_counted_over_all_texts_so_far():
    frequency = DocumentFrequency(3)
    assert frequency().tolist() == [0, 0, 0]
    frequency.count(torch.tensor([[1.0, 1, 0], [1, 0, 0], [0, 0, 0]]))  # the third is no text
    frequency.count(torch.tensor([[1.0, 0, 0]]))
    assert (frequency.texts.item(), frequency.holding.tolist()) == (3, [3, 1, 0])
    torch.testing.assert_close(frequency(), torch.tensor([1.0, 2.0, 4.0]).log())
    assert not any(buffer.is_floating_point() for buffer in frequency.buffers())


def test_counts_are_those_of_all_ranks():
    class TwoRanks:
        def gather(self, rows):
            return torch.cat([rows, rows])

        def first_row(self, rows):
            return 0

    frequency = DocumentFrequency(2)
    frequency.count(torch.tensor([[1.0, 0]]), TwoRanks())
    assert (frequency.texts.item(), frequency.holding.tolist()) == (2, [2, 0])
