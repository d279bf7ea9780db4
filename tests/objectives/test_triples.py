"""Place-finding triples by hand; negatives that are never positive.
The place contrast: by a loop over findings, at its edges, and what it draws.
ProtoCL against a loop, by hand, and where there is nothing to learn from.
"""

import math

import pytest
import torch

from medvlp.objectives import (
    over_findings,
    place_contrast,
    prototypical_contrast,
    relation_prototypes,
    sample_negatives,
)


def test_over_findings_the_strongest_statement_counts():
    # rows are findings, columns places; -1 unmentioned, 0 absent, 1 present, 2 uncertain
    states = torch.tensor([[[2, 1, -1, -1], [0, 2, -1, -1], [0, -1, -1, -1]]], dtype=torch.int8)
    assert over_findings(states).tolist() == [[2, 1, -1, -1]]
    assert over_findings(states).dtype == torch.int8


def test_a_prototype_is_the_mean_of_what_is_marked():
    book = torch.randn(4, 5, dtype=torch.float64)
    positive = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]]).bool()
    got = relation_prototypes(positive, book)
    torch.testing.assert_close(got[0], (book[0] + book[2]) / 2)
    assert not got[1].any()


def test_a_prototype_keeps_its_digits_under_autocast():
    torch.manual_seed(0)
    book, positive = torch.randn(4, 5), torch.tensor([[1, 0, 1, 0]]).bool()
    with torch.autocast("cpu", torch.bfloat16):
        got = relation_prototypes(positive, book)
    torch.testing.assert_close(got, relation_prototypes(positive, book), rtol=0, atol=0)


def test_negatives_are_never_positive_never_twice_and_all_alike():
    torch.manual_seed(0)
    positive = torch.rand(64, 51) < 0.2
    drawn = sample_negatives(positive, 7)
    assert not positive.gather(1, drawn).any()
    assert all(len(set(row)) == 7 for row in drawn.tolist())
    counts = sample_negatives(torch.tensor([[True] + [False] * 4]).expand(4000, -1), 2).flatten().bincount()
    assert counts[0] == 0
    assert (counts[1:] / 8000 - 0.25).abs().max() < 0.02


def states(images=3, findings=4, places=12):
    torch.manual_seed(0)
    return torch.randint(-1, 3, (images, findings, places), dtype=torch.int8)


def by_loop(scores, places, k):
    """Each true place against all that are neither true nor in doubt, with the weight of k of them."""
    losses = []
    for i, j in (places == 1).any(2).nonzero().tolist():
        true = [p for p in range(places.shape[2]) if places[i, j, p] == 1]
        wrong = [p for p in range(scores.shape[2]) if p >= places.shape[2] or places[i, j, p] not in (1, 2)]
        weight = min(1.0, k / len(wrong))
        mass = weight * sum(scores[i, j, p].exp() for p in wrong)
        losses.append(sum(-(scores[i, j, p].exp() / (scores[i, j, p].exp() + mass)).log() for p in true) / len(true))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("k", [3, 12])
def test_it_equals_the_loop(more, k):
    places = states()
    places[1, 2] = -1
    scores = torch.randn(3, 4, 12 + more, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(place_contrast(scores, places, k, sample=False), by_loop(scores, places, k))
    assert torch.autograd.gradcheck(lambda s: place_contrast(s, places, k, sample=False), scores)


@pytest.mark.parametrize("sample", [True, False])
def test_it_is_the_cross_entropy_of_one_against_some(sample):
    torch.manual_seed(0)
    query, book = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    places = torch.full((2, 3, 4), -1, dtype=torch.int8)
    places[:, :2, 2] = 1
    logits = (query[:, :2] @ book.t()).flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, torch.full((4,), 2))
    torch.testing.assert_close(place_contrast(query @ book.t(), places, 3, sample), expected)


@pytest.mark.parametrize("sample", [True, False])
def test_equal_scores_are_a_fair_die(sample):
    places = torch.full((2, 3, 51), -1, dtype=torch.int8)
    places[:, :, 7:9] = 1
    assert place_contrast(torch.zeros(2, 3, 51), places, 7, sample).item() == pytest.approx(math.log(8), abs=1e-6)


def test_without_any_place_it_costs_nothing():
    scores = torch.randn(2, 3, 51, requires_grad=True)
    loss = place_contrast(scores, torch.zeros(2, 3, 51, dtype=torch.int8), 7)
    loss.backward()
    assert loss.item() == 0
    assert not scores.grad.any()


def test_true_places_and_places_in_doubt_are_never_wrong():
    places = states(images=200, findings=1, places=8)
    places[:, :, 0] = 0  # something to tell it from
    scores = torch.zeros(200, 1, 8, requires_grad=True)
    place_contrast(scores, places, 3).backward()
    assert torch.equal(scores.grad < 0, (places == 1))
    assert not ((scores.grad > 0) & (places == 2)).any()
    assert (scores.grad > 0).sum(2).max() == 3


def test_where_every_place_is_true_there_is_nothing_to_tell_apart():
    scores = torch.tensor([[[2.0, 2.0, 2.0, 1.0]]], requires_grad=True)
    loss = place_contrast(scores, torch.ones(1, 1, 4, dtype=torch.int8), 3)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad.isfinite().all()


def test_a_finding_with_fewer_other_places_is_compared_with_those():
    places = torch.tensor([[[1, 1, 1, 0]]], dtype=torch.int8)
    scores = torch.tensor([[[2.0, 2.0, 2.0, 1.0]]])
    for sample, k in ((True, 3), (False, 3), (True, 9)):
        assert place_contrast(scores, places, k, sample).item() == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)


def test_every_other_place_is_drawn_alike():
    torch.manual_seed(0)
    places = torch.tensor([1, 1, -1, 0, -1, 0], dtype=torch.int8).expand(2000, 1, -1)
    scores = torch.zeros(2000, 1, 6, requires_grad=True)
    place_contrast(scores, places, 2).backward()
    assert ((scores.grad[:, 0, 2:] > 0).float().mean(0) - 0.5).abs().max() < 0.05


def test_the_order_of_images_and_an_added_constant_do_not_matter():
    places, order = states(), torch.tensor([2, 0, 1])
    scores = torch.randn(3, 4, 12, dtype=torch.float64)
    loss = place_contrast(scores, places, 3, sample=False)
    torch.testing.assert_close(place_contrast(scores[order], places[order], 3, sample=False), loss)
    moved = scores + torch.randn(3, 4, 1, dtype=torch.float64)
    torch.testing.assert_close(place_contrast(moved, places, 3, sample=False), loss)


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
