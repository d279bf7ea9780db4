"""The learnt similarity: independence of queries, padding, chunks."""

import pytest
import torch

from medvlp.models import RelationScorer


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(4, 16), torch.randn(5, 6, 16)


@pytest.fixture
def scorer():
    torch.manual_seed(0)
    return RelationScorer(16, layers=2, heads=2)


def test_each_pair_is_scored_by_itself(scorer, inputs):
    queries, memory = inputs
    scores = scorer(queries, memory)
    assert scores.shape == (5, 4)
    for b in range(5):
        for n in range(4):
            torch.testing.assert_close(scorer(queries[n : n + 1], memory[b : b + 1])[0, 0], scores[b, n])


def test_removing_a_query_leaves_the_scores_of_the_others(scorer, inputs):
    queries, memory = inputs
    torch.testing.assert_close(scorer(queries[:3], memory), scorer(queries, memory)[:, :3])


def test_who_asks_matters(scorer, inputs):
    first, second = inputs[0], inputs[1][:4, 0]
    assert not torch.allclose(scorer(first, second[:, None]), scorer(second, first[:, None]).t())


def test_padding_is_not_read(scorer, inputs):
    queries, memory = inputs
    mask = torch.arange(6) < torch.tensor([6, 3, 1, 5, 2])[:, None]
    junk = torch.where(mask[..., None], memory, 1e3)
    torch.testing.assert_close(scorer(queries, junk, mask)[1:2], scorer(queries, memory[1:2, :3]))


def test_chunks_give_the_same_scores_and_gradients(scorer, inputs):
    queries, memory = inputs
    results = []
    for chunk in (32, 2):
        scorer.chunk, leaf = chunk, memory.clone().requires_grad_()
        scorer.zero_grad()
        scores = scorer(queries, leaf)
        scores.sin().sum().backward()
        results.append((scores, leaf.grad, *(p.grad.clone() for p in scorer.parameters())))
    for whole, part in zip(*results, strict=True):
        torch.testing.assert_close(whole, part, rtol=1e-4, atol=1e-5)


def test_gradcheck(inputs):
    queries, memory = (x[:2].double().requires_grad_() for x in inputs)
    scorer = RelationScorer(16, layers=1, heads=2).double()
    scorer.requires_grad_(False)
    assert torch.autograd.gradcheck(lambda q, m: scorer(q, m), (queries, memory))


def test_where_it_looks_sums_to_one(scorer, inputs):
    mask = torch.arange(6) < torch.tensor([6, 3, 1, 5, 2])[:, None]
    maps = scorer.attention(*inputs, mask)
    torch.testing.assert_close(maps.sum(2), torch.ones(5, 4))
    assert not maps.transpose(1, 2)[~mask].any()
