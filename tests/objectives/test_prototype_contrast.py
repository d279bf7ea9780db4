"""ProtoCL against a loop, by hand, and where there is nothing to learn from."""

import math

import pytest
import torch

from medvlp.objectives import prototypical_contrast


@pytest.fixture
def case():
    torch.manual_seed(0)
    queries = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    book = torch.randn(9, 5, dtype=torch.float64, requires_grad=True)
    states = torch.randint(-1, 3, (3, 4, 9), dtype=torch.int8)
    states[0, 0] = -1
    states[1, 1] = 1
    return queries, states, book


def loop(queries, states, book, choose):
    """One query after the other; `choose` gives its negatives and the weight of each."""
    costs = []
    for b, e in (states == 1).any(-1).nonzero().tolist():
        mine = [j for j in range(len(book)) if states[b, e, j] == 1]
        rest = [j for j in range(len(book)) if states[b, e, j] in (-1, 0)]
        right = queries[b, e] @ torch.stack([book[j] for j in mine]).mean(0)
        total = right.exp()
        for j, weight in choose(rest):
            total = total + weight * (queries[b, e] @ book[j]).exp()
        costs.append(total.log() - right)
    return torch.stack(costs).mean()


def test_equals_a_loop_over_all_negatives_when_all_are_drawn(case):
    expected = loop(*case, lambda rest: [(j, 1.0) for j in rest])
    torch.testing.assert_close(prototypical_contrast(*case, negatives=9), expected)
    torch.testing.assert_close(prototypical_contrast(*case, negatives=50), expected)


def test_without_drawing_all_count_as_k_of_them(case):
    expected = loop(*case, lambda rest: [(j, min(3, len(rest)) / len(rest)) for j in rest])
    torch.testing.assert_close(prototypical_contrast(*case, negatives=3, sample=False), expected)


def test_drawn_negatives_are_k_that_are_not_positive(case):
    queries, states, book = case
    torch.manual_seed(1)
    got = prototypical_contrast(queries, states, book, negatives=1)
    torch.manual_seed(1)
    chosen = torch.rand(states.shape).masked_fill(states > 0, -1.0).argmax(-1)
    costs = []
    for b, e in (states == 1).any(-1).nonzero().tolist():
        prototype = book[states[b, e] == 1].mean(0)
        candidates = [queries[b, e] @ prototype]
        if (states[b, e] < 1).any():
            candidates.append(queries[b, e] @ book[chosen[b, e]])
        costs.append(torch.stack(candidates).logsumexp(0) - candidates[0])
    torch.testing.assert_close(got, torch.stack(costs).mean())


@pytest.mark.parametrize("sample", [True, False])
def test_a_zero_query_costs_log_of_one_and_k(sample):
    states = torch.full((2, 20), -1)
    states[:, 3:5] = 1
    loss = prototypical_contrast(torch.zeros(2, 6), states, torch.randn(20, 6), negatives=7, sample=sample)
    assert loss.item() == pytest.approx(math.log(8), abs=1e-5)


def test_nothing_present_costs_nothing_and_all_present_has_no_negatives(case):
    queries, states, book = case
    assert prototypical_contrast(queries, torch.full_like(states, -1), book).item() == 0
    everything = prototypical_contrast(queries, torch.ones_like(states), book)
    assert everything.item() == pytest.approx(0, abs=1e-12)
    assert all(g.isfinite().all() for g in torch.autograd.grad(everything, (queries, book)))


def test_a_row_in_doubt_is_neither_right_nor_wrong(case):
    queries, states, book = case
    states[:, :, 4] = 2
    loss = prototypical_contrast(queries, states, book, sample=False)
    (gradient,) = torch.autograd.grad(loss, book)
    assert not gradient[4].any()
    assert gradient[[0, 1, 2, 3, 5, 6, 7, 8]].any(1).all()


def test_gradients(case):
    queries, states, book = case
    assert torch.autograd.gradcheck(lambda q, k: prototypical_contrast(q, states, k, 3, sample=False), (queries, book))


def test_images_may_be_permuted(case):
    queries, states, book = case
    order = torch.tensor([2, 0, 1])
    first = prototypical_contrast(queries, states, book, sample=False)
    torch.testing.assert_close(prototypical_contrast(queries[order], states[order], book, sample=False), first)
