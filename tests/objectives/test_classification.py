"""Four-state binary cross-entropy: a loop, hand values, exact zeros.
Words as classes, against a loop over words.
"""

import math

import pytest
import torch

from medvlp.objectives import bag_cross_entropy, bag_of_words, labels_and_mask, masked_bce, per_sample_bce

STATES = torch.tensor([[1, -1, 0, 2], [0, -1, 1, -1], [1, -1, 1, 2]], dtype=torch.int8)


def slow_bce(logits, states, unmentioned, uncertain, weight=1.0):
    total, count = 0.0, 0.0
    for b in range(states.shape[0]):
        for e in range(states.shape[1]):
            s, w = int(states[b, e]), 1.0
            if s == -1:
                if unmentioned == "ignore":
                    continue
                y, w = 0.0, weight
            elif s == 2:
                if uncertain == "ignore":
                    continue
                y = {"absent": 0.0, "present": 1.0, "half": 0.5}[uncertain]
            else:
                y = float(s)
            p = 1 / (1 + math.exp(-float(logits[b, e])))
            total -= w * (y * math.log(p) + (1 - y) * math.log(1 - p))
            count += w
    return total / count


@pytest.mark.parametrize("unmentioned", ["ignore", "negative"])
@pytest.mark.parametrize("uncertain", ["ignore", "absent", "present", "half"])
def test_equals_a_loop_for_each_policy(unmentioned, uncertain):
    torch.manual_seed(0)
    logits = torch.randn(3, 4, dtype=torch.float64)
    loss = masked_bce(logits, STATES, unmentioned, uncertain, unmentioned_weight=0.3)
    assert loss.item() == pytest.approx(slow_bce(logits, STATES, unmentioned, uncertain, 0.3), abs=1e-9)


def test_silence_says_something_only_where_there_is_a_report():
    has_report = torch.tensor([True, False, True])
    _, mask = labels_and_mask(STATES, "negative", has_report=has_report)
    assert mask.tolist() == [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]]
    _, mask = labels_and_mask(STATES, "ignore", has_report=has_report)
    assert mask.tolist() == [[1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]]


def test_gradient_is_exactly_zero_where_nothing_is_known():
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(masked_bce(logits, STATES), logits)
    unknown = (STATES == -1) | (STATES == 2)
    assert (gradient[unknown] == 0).all()
    assert (gradient[~unknown] != 0).all()


@pytest.mark.parametrize("loss", [masked_bce, per_sample_bce])
def test_gradients(loss):
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: loss(x, STATES, "negative", "half"), logits)


@pytest.mark.parametrize("loss", [masked_bce, per_sample_bce])
def test_all_unknown_is_zero_and_not_nan(loss):
    assert loss(torch.randn(4, 3), -torch.ones(4, 3)).item() == 0


def test_all_known_is_the_ordinary_loss():
    logits, labels = torch.randn(4, 3), torch.randint(0, 2, (4, 3))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
    torch.testing.assert_close(masked_bce(logits, labels), expected)


def test_per_sample_mean_of_dlilp_by_hand():
    states = torch.full((2, 85), -1)
    states[:, :14] = 0
    loss = per_sample_bce(torch.zeros(2, 85, dtype=torch.float64), states)
    assert loss.item() == pytest.approx(math.log(2) * 14 / 14.001, abs=1e-9)


@pytest.mark.parametrize("uncertain", ["ignore", "half"])
def test_the_per_sample_mean_is_that_of_a_loop(uncertain):
    torch.manual_seed(0)
    logits = torch.randn(3, 4, dtype=torch.float64)
    per_image = []
    for row, states in zip(logits, STATES, strict=True):
        known = states >= 0 if uncertain == "half" else (states == 0) | (states == 1)
        mean = slow_bce(row[None], states[None], "ignore", uncertain)
        per_image.append(mean * known.sum().item() / (known.sum().item() + 1e-3))
    assert per_sample_bce(logits, STATES, uncertain=uncertain).item() == pytest.approx(sum(per_image) / 3, abs=1e-9)


def test_images_weigh_equally_in_the_per_sample_mean_only():
    states = torch.tensor([[1, -1, -1], [0, 0, 0]])
    logits = torch.tensor([[2.0, 0, 0], [0, 0, 0]], dtype=torch.float64)
    first = math.log1p(math.exp(-2))
    assert per_sample_bce(logits, states).item() == pytest.approx(
        (first / 1.001 + 3 * math.log(2) / 3.001) / 2, abs=1e-9
    )
    assert masked_bce(logits, states).item() == pytest.approx((first + 3 * math.log(2)) / 4, abs=1e-9)


def test_a_misspelled_policy_is_refused():
    with pytest.raises(ValueError, match="ignore"):
        labels_and_mask(STATES, "absent")


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


def test_gradients_of_the_bag():
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
