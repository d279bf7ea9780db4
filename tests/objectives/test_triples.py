"""Place-finding triples by hand; negatives that are never positive."""

import torch

from medvlp.objectives import (
    over_findings,
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
