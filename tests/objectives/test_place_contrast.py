"""The place contrast: by a loop over findings, at its edges, and what it draws."""

import math

import pytest
import torch

from medvlp.objectives import place_contrast


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
