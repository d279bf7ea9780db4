"""The sigmoid contrast: hand values of its start, a loop, and shared positives."""

import math

import pytest
import torch

from medvlp.models import SigmoidScale
from medvlp.objectives import sigmoid_contrast


def test_zero_logits_cost_a_coin_for_each_pair_of_a_row():
    loss = sigmoid_contrast(torch.zeros(6, 6, dtype=torch.float64), torch.eye(6).bool())
    assert loss.item() == pytest.approx(6 * math.log(2), abs=1e-12)


def test_the_start_makes_negatives_free():
    logits = SigmoidScale().double()(torch.zeros(6, 6, dtype=torch.float64))
    expected = math.log1p(math.exp(10)) + 5 * math.log1p(math.exp(-10))
    assert sigmoid_contrast(logits, torch.eye(6).bool()).item() == pytest.approx(expected, abs=1e-6)


def test_equals_a_loop_and_its_gradient():
    torch.manual_seed(0)
    logits = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    positive, valid = torch.rand(4, 5) < 0.4, torch.rand(4, 5) < 0.7
    valid[3] = False
    terms = [
        math.log1p(math.exp(-logits[i, j].item() if positive[i, j] else logits[i, j].item()))
        for i in range(4)
        for j in range(5)
        if valid[i, j]
    ]
    assert sigmoid_contrast(logits, positive, valid).item() == pytest.approx(sum(terms) / 3, abs=1e-9)
    assert torch.autograd.gradcheck(lambda x: sigmoid_contrast(x, positive, valid), logits)
    (gradient,) = torch.autograd.grad(sigmoid_contrast(logits, positive, valid), logits)
    assert not gradient[~valid].any()


def test_a_shared_concept_is_pulled_by_both_owners():
    logits = torch.zeros(1, 2, requires_grad=True)  # one concept, two images
    sigmoid_contrast(logits, torch.tensor([[True, False]])).backward()
    pushed = logits.grad.clone()
    logits.grad = None
    sigmoid_contrast(logits, torch.tensor([[True, True]])).backward()
    assert pushed[0, 1] > 0 > logits.grad[0, 1]


def test_nothing_valid_is_zero():
    assert sigmoid_contrast(torch.randn(2, 3), torch.ones(2, 3).bool(), torch.zeros(2, 3).bool()).item() == 0


def test_the_count_can_be_that_of_columns():
    logits, positive = torch.randn(4, 6), torch.rand(4, 6) < 0.3
    expected = sigmoid_contrast(logits.t(), positive.t())
    torch.testing.assert_close(sigmoid_contrast(logits, positive, count=torch.tensor(6)), expected)


def test_no_positive_and_nothing_but_positives_by_hand():
    logits = torch.tensor([[2.0, -1.0]])
    none, all_of_them = torch.zeros(1, 2).bool(), torch.ones(1, 2).bool()
    expected = math.log1p(math.exp(2)) + math.log1p(math.exp(-1))
    assert sigmoid_contrast(logits, none).item() == pytest.approx(expected)
    assert sigmoid_contrast(-logits, all_of_them).item() == pytest.approx(expected)
