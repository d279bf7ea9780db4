"""Place-finding triples by hand; negatives that are never positive."""

import math

import pytest
import torch

from medvlp.objectives import (
    one_against_some,
    over_findings,
    over_places,
    relation_prototypes,
    sample_negatives,
    triple_tensor,
)


def test_present_beats_absent_and_uncertain_stays_unmentioned():
    finding, place = torch.tensor([2, 2, 0, 1, 0]), torch.tensor([1, 1, 0, 3, 0])
    state = torch.tensor([0, 1, 0, 2, 2], dtype=torch.int8)
    triples = triple_tensor(torch.zeros(5, dtype=torch.int64), finding, place, state, (1, 3, 4))
    assert triples.dtype == torch.int8
    assert triples[0].tolist() == [[0, -1, -1, -1], [-1, -1, -1, -1], [-1, 1, -1, -1]]
    assert over_places(triples).tolist() == [[0, -1, 1]]
    assert over_findings(triples).tolist() == [[0, 1, -1, -1]]


def test_over_places_and_findings_the_strongest_statement_counts():
    # rows are findings, columns places; -1 unmentioned, 0 absent, 1 present, 2 uncertain
    states = torch.tensor([[[2, 1, -1, -1], [0, 2, -1, -1], [0, -1, -1, -1]]], dtype=torch.int8)
    assert over_places(states).tolist() == [[1, 2, 0]]
    assert over_findings(states).tolist() == [[2, 1, -1, -1]]
    assert over_places(states).dtype == torch.int8


def test_images_keep_apart():
    triples = triple_tensor(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([1, 0]), torch.ones(2), (2, 2, 2))
    assert (triples == 1).nonzero().tolist() == [[0, 0, 1], [1, 1, 0]]


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


def test_a_zero_query_is_a_fair_die():
    loss = one_against_some(torch.zeros(3, 5), torch.randn(3, 5), torch.randn(3, 7, 5), torch.ones(3).bool())
    assert loss.item() == pytest.approx(math.log(8), abs=1e-6)


def test_one_against_some_equals_cross_entropy_over_valid_rows():
    torch.manual_seed(0)
    query, right = (torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    wrong, valid = torch.randn(2, 4, 3, 5, dtype=torch.float64), torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0]]).bool()
    rows = []
    for i, j in valid.nonzero().tolist():
        logits = torch.stack([query[i, j] @ right[i, j], *(query[i, j] @ w for w in wrong[i, j])])
        rows.append(torch.nn.functional.cross_entropy(logits[None], torch.tensor([0])))
    torch.testing.assert_close(one_against_some(query, right, wrong, valid), torch.stack(rows).mean())
    assert torch.autograd.gradcheck(lambda q, r: one_against_some(q, r, wrong, valid), (query, right))
    assert one_against_some(query, right, wrong, torch.zeros(2, 4).bool()).item() == 0
