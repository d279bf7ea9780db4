"""MGCA's token contrast against a loop over reports and words, and the weights of words.
Whole against parts, by a loop over every part.
"""

import math

import pytest
import torch
from torch.nn import functional as F

from medvlp.objectives import global_local_contrast, token_alignment_loss, token_weights

LENGTHS = [4, 1, 3]
MASK = torch.arange(4) < torch.tensor(LENGTHS)[:, None]


@pytest.fixture
def unit():
    torch.manual_seed(0)
    words, patches = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(3, 6, 5, dtype=torch.float64)
    return F.normalize(words, dim=2), F.normalize(patches, dim=2)


@pytest.fixture
def weights():
    raw = torch.rand(3, 4, dtype=torch.float64) * MASK
    return raw / raw.sum(1, keepdim=True)


def slow(words, patches, weights, lengths):
    per_report = []
    for w, v, g, length in zip(words, patches, weights, lengths, strict=True):
        contexts = []
        for word in w[:length]:
            attention = (v @ word / 0.1).softmax(0)
            contexts.append(F.normalize(sum(a * p for a, p in zip(attention, v, strict=True)), dim=0))
        total = 0
        for t in range(length):
            row = torch.stack([w[t] @ c / 0.1 for c in contexts])
            column = torch.stack([w[u] @ contexts[t] / 0.1 for u in range(length)])
            total = total - g[t] * (row.log_softmax(0)[t] + column.log_softmax(0)[t]) / 2
        per_report.append(total)
    return sum(per_report) / len(per_report)


def test_equals_the_definition_on_unpadded_words(unit, weights):
    got = token_alignment_loss(*unit, MASK, weights=weights)
    torch.testing.assert_close(got, slow(*unit, weights, LENGTHS), atol=1e-9, rtol=0)
    alike = MASK.double() / MASK.sum(1, keepdim=True)
    torch.testing.assert_close(token_alignment_loss(*unit, MASK), slow(*unit, alike, LENGTHS), atol=1e-9, rtol=0)


def test_gradcheck(unit, weights):
    words, patches = (x.clone().requires_grad_() for x in unit)
    some = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0]]).bool()
    assert torch.autograd.gradcheck(
        lambda w, v: token_alignment_loss(w, v, MASK, some, weights=weights), (words, patches)
    )


def test_what_stands_in_the_padding_of_either_side_does_not_matter(unit):
    words, patches = unit
    there = torch.arange(6) < torch.tensor([6, 4, 2])[:, None]
    junk = torch.where(MASK[..., None], words, 1e3).requires_grad_()
    behind = torch.where(there[..., None], patches, float("nan")).requires_grad_()
    loss = token_alignment_loss(junk, behind, MASK, there)
    torch.testing.assert_close(loss, token_alignment_loss(words, patches, MASK, there))
    cut = torch.stack(
        [
            token_alignment_loss(words[b : b + 1], patches[b : b + 1, :n], MASK[b : b + 1])
            for b, n in enumerate([6, 4, 2])
        ]
    )
    torch.testing.assert_close(loss, cut.mean())
    loss.backward()
    assert not junk.grad[~MASK].any()
    assert not behind.grad[~there].any()


def test_one_word_costs_nothing_and_equal_contexts_cost_the_log_of_their_number(unit):
    words, patches = unit
    assert token_alignment_loss(words[1:2], patches[1:2], MASK[1:2]).item() == pytest.approx(0)
    one_patch = patches[:1, :1]  # all four words find the same: by context it is uniform for equal words
    same = words[:1, :1].expand(-1, 4, -1)
    assert token_alignment_loss(same, one_patch, MASK[:1]).item() == pytest.approx(math.log(4))


def test_at_an_infinite_temperature_all_words_are_alike(unit):
    words, patches = unit
    loss = token_alignment_loss(words[:1], patches[:1], MASK[:1], temperature=math.inf)
    assert loss.item() == pytest.approx(math.log(4))
    assert token_alignment_loss(words, patches, MASK, attention_temperature=math.inf).isfinite()


def test_a_report_without_words_leaves_the_mean(unit):
    words, patches = (x.clone().requires_grad_() for x in unit)
    mask = MASK.clone()
    mask[1] = False
    loss = token_alignment_loss(words, patches, mask)
    torch.testing.assert_close(loss, token_alignment_loss(words[[0, 2]], patches[[0, 2]], MASK[[0, 2]]))
    loss.backward()
    assert not words.grad[1].any()
    assert not patches.grad[1].any()
    nothing = token_alignment_loss(words, patches, torch.zeros_like(mask))
    assert nothing.item() == 0
    assert token_alignment_loss(patches, words, torch.ones(3, 6).bool(), torch.zeros_like(mask)).item() == 0


def test_no_image_is_compared_with_another(unit):
    words, patches = (x.clone().requires_grad_() for x in unit)
    order = torch.tensor([2, 0, 1])
    loss = token_alignment_loss(words, patches, MASK)
    torch.testing.assert_close(loss, token_alignment_loss(words[order], patches[order], MASK[order]))
    alone = [token_alignment_loss(words[i : i + 1], patches[i : i + 1], MASK[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(loss, sum(alone) / 3)


def test_weights_are_the_clipped_attention_of_the_whole(unit):
    tokens = 3 * unit[1]
    whole, mask = torch.randn(3, 5, dtype=torch.float64), torch.arange(6) < torch.tensor([6, 3, 0])[:, None]
    got = token_weights(whole, tokens, mask)
    for b, n in enumerate([6, 3]):
        attention = (tokens[b, :n] @ whole[b] / math.sqrt(5)).softmax(0)
        clipped = attention.clamp(attention.quantile(0.1), attention.quantile(0.9))
        torch.testing.assert_close(got[b, :n], clipped / clipped.sum())
        assert not got[b, n:].any()
    assert not got[2].any()
    assert not token_weights(whole.requires_grad_(), tokens, mask).requires_grad


def test_it_asks_nothing_of_an_accelerator(unit):
    words, patches = (x.to("meta").requires_grad_() for x in unit)
    weights = token_weights(words[:, 0], words, MASK.to("meta"))
    token_alignment_loss(words, patches, MASK.to("meta"), weights=weights).backward()


def by_loop(whole, parts, mask, group, scale):
    rows = []
    for b in range(len(whole)):
        strangers = sum(
            math.exp(scale * whole[b] @ parts[c, p])
            for c in range(len(parts))
            for p in range(parts.shape[1])
            if group[c] != group[b] and mask[c, p]
        )
        own = [math.exp(scale * whole[b] @ parts[b, p]) for p in range(parts.shape[1]) if mask[b, p]]
        if own:
            rows.append(sum(-math.log(score / (score + strangers)) for score in own) / len(own))
    return sum(rows) / len(rows)


@pytest.fixture
def case():
    torch.manual_seed(0)
    whole = F.normalize(torch.randn(5, 6, dtype=torch.float64), dim=1)
    parts = F.normalize(torch.randn(5, 4, 6, dtype=torch.float64), dim=2)
    mask = torch.rand(5, 4) < 0.7
    mask[1] = False
    return whole, parts, mask, torch.tensor([0, 1, 2, 0, 4])


def test_the_loss_is_that_of_a_loop(case):
    assert global_local_contrast(*case, 3.0).item() == pytest.approx(by_loop(*case, 3.0), abs=1e-9)


def test_gradients(case):
    whole, parts, mask, group = case
    whole.requires_grad_()
    parts.requires_grad_()
    assert torch.autograd.gradcheck(lambda w, p: global_local_contrast(w, p, mask, group, 3.0), (whole, parts))
    global_local_contrast(whole, parts, mask, group, 3.0).backward()
    assert not parts.grad[~mask].any()


def test_order_of_the_batch_and_padding_do_not_matter(case):
    whole, parts, mask, group = case
    expected, order = global_local_contrast(*case, 3.0), torch.tensor([3, 1, 4, 0, 2])
    shuffled = global_local_contrast(whole[order], parts[order], mask[order], group[order], 3.0)
    torch.testing.assert_close(shuffled, expected)
    parts[~mask] = 100.0
    torch.testing.assert_close(global_local_contrast(whole, parts, mask, group, 3.0), expected)


def test_edges(case):
    whole, parts, mask, group = case
    nothing = torch.zeros_like(mask)
    assert global_local_contrast(whole, parts, nothing, group, 3.0) == 0
    alone = torch.zeros_like(group)  # all reports are equal: no negatives
    assert global_local_contrast(whole, parts, mask, alone, 3.0).item() == pytest.approx(0.0, abs=1e-9)
    same = torch.ones(2, 3, 1) / 1.0
    loss = global_local_contrast(torch.ones(2, 1), same, torch.ones(2, 3, dtype=torch.bool), torch.arange(2), 5.0)
    assert loss.item() == pytest.approx(math.log(4), abs=1e-6)  # one against three, all alike
