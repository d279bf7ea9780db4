"""Softened targets, against sums written out.
Targets from labels: loops, hand values, and the soft cross-entropy that they go into.
"""

import math

import pytest
import torch

from medvlp.objectives import info_nce, label_affinity, momentum_target, self_similarity, signed_labels, soft_contrast


def by_loop(logits, guide, own, valid, share, relations):
    total, rows = 0.0, 0
    for i in range(len(logits)):
        columns = [j for j in range(logits.shape[1]) if valid[i, j]]
        mine = [j for j in columns if own[i, j]]
        if not mine:
            continue
        rows += 1
        for among, target in (
            (columns, lambda soft, j: share * soft + (1 - share) * (j in mine)),  # noqa: B023
            ([j for j in columns if j not in mine], lambda soft, j: soft),
        ):
            for j in among:
                soft = math.exp(guide[i, j]) / sum(math.exp(guide[i, k]) for k in among)
                q = math.exp(logits[i, j]) / sum(math.exp(logits[i, k]) for k in among)
                p = target(soft, j)
                part = p * math.log(p / q) if p > 0 else 0.0
                total += part if among is columns else relations * part
    return total / max(rows, 1)


@pytest.fixture
def case():
    torch.manual_seed(0)
    logits, guide = 3 * torch.randn(2, 5, 6, dtype=torch.float64)
    valid = torch.rand(5, 6) < 0.8
    valid[:, :5] |= torch.eye(5, dtype=torch.bool)
    valid[2] = False
    return logits, guide, torch.eye(5, 6, dtype=torch.bool), valid


@pytest.mark.parametrize(("share", "relations"), [(0.2, 1.0), (0.0, 0.0), (1.0, 0.5)])
def test_the_loss_is_that_of_a_loop(case, share, relations):
    expected = by_loop(*case, share, relations)
    assert soft_contrast(*case, share, relations).item() == pytest.approx(expected, abs=1e-9)


def test_gradients(case):
    logits, guide, own, valid = case
    logits.requires_grad_()
    guide.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_contrast(x, guide.detach(), own, valid), logits)
    soft_contrast(logits, guide, own, valid).backward()
    assert guide.grad is None
    assert not logits.grad[~valid].any()


def test_with_no_share_and_no_relations_it_is_cross_entropy():
    torch.manual_seed(0)
    logits, own = torch.randn(4, 4), torch.eye(4, dtype=torch.bool)
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(4))
    got = soft_contrast(logits, torch.randn(4, 4), own, torch.ones_like(own), alpha=0.0, relations=0.0)
    torch.testing.assert_close(got, expected)


def test_a_prediction_equal_to_the_target_costs_nothing():
    guide, own = torch.randn(4, 4), torch.eye(4, dtype=torch.bool)
    got = soft_contrast(guide, guide, own, torch.ones_like(own), alpha=1.0)
    assert got.item() == pytest.approx(0.0, abs=1e-6)


def test_a_like_pair_is_pushed_away_less_than_a_strange_one():
    logits = torch.zeros(1, 3, requires_grad=True)
    own = torch.tensor([[True, False, False]])
    soft_contrast(logits, torch.tensor([[5.0, 4.0, -4.0]]), own, torch.ones_like(own), alpha=0.5).backward()
    assert logits.grad[0, 1] < 0 < logits.grad[0, 2]  # the step raises the logit of the like pair


def test_edges():
    own = torch.eye(3, dtype=torch.bool)
    nothing = torch.zeros_like(own)
    logits = torch.randn(3, 3, requires_grad=True)
    soft_contrast(logits, torch.randn(3, 3), own, nothing).backward()
    assert not logits.grad.any()
    assert soft_contrast(logits, torch.randn(3, 3), own, own).item() == pytest.approx(0.0, abs=1e-6)  # no other report


def test_similarity_is_that_of_what_features_do_not_share():
    features = torch.tensor([[10.0, 1.0], [10.0, -1.0], [10.0, 1.0], [50.0, 50.0]])
    counts = torch.tensor([True, True, True, False])
    alike = self_similarity(features, counts)
    centered = features - features[:3].mean(0)
    for i in range(4):
        for j in range(4):
            expected = torch.nn.functional.cosine_similarity(centered[i], centered[j], dim=0)
            torch.testing.assert_close(alike[i, j], expected)
    assert alike[0, 2] == pytest.approx(1.0)
    assert alike[0, 1] == pytest.approx(-1.0)


def test_what_does_not_count_is_in_no_mean_and_no_target(case, on_two_ranks):
    features, counts = torch.randn(4, 6, dtype=torch.float64), torch.tensor([True, True, False, True])
    alike = self_similarity(features.masked_fill(~counts[:, None], torch.nan), counts)
    torch.testing.assert_close(alike[counts][:, counts], self_similarity(features[counts], counts[counts]))
    parts = on_two_ranks(lambda rank, ranks: self_similarity(features.chunk(2)[rank], counts.chunk(2)[rank], ranks))
    torch.testing.assert_close(torch.cat(parts), self_similarity(features, counts))
    logits, guide, own, valid = case
    torch.testing.assert_close(
        soft_contrast(logits, guide.masked_fill(~valid, torch.nan), own, valid), soft_contrast(*case)
    )


STATES = torch.tensor([[1, -1, 0], [0, -1, -1], [-1, -1, -1], [1, 1, 2]], dtype=torch.int8)


def test_states_become_signs():
    assert signed_labels(STATES).tolist() == [[1, 0, -1], [-1, 0, 0], [0, 0, 0], [1, 1, 0]]


def slow_target(images, texts, temperature):
    """softmax_j(cos(y_i, y_j) / tau), number by number."""
    rows = []
    for a in images.tolist():
        cosine = []
        for b in texts.tolist():
            norm = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
            cosine.append(sum(x * y for x, y in zip(a, b, strict=True)) / norm if norm else 0.0)
        weights = [math.exp(c / temperature) for c in cosine]
        rows.append([w / sum(weights) for w in weights])
    return torch.tensor(rows, dtype=torch.float64)


def labels(n, seed):
    return torch.randint(-1, 2, (n, 5), generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_rows_and_columns_are_softmaxes_of_cosines(temperature):
    images, texts = labels(6, 0), labels(9, 1)
    target = label_affinity(images, texts, temperature)
    torch.testing.assert_close(target / target.sum(1, keepdim=True), slow_target(images, texts, temperature))
    torch.testing.assert_close((target / target.sum(0)).t(), slow_target(texts, images, temperature))


def test_the_contrast_against_it_is_soft_cross_entropy_both_ways():
    images, texts = labels(6, 0), labels(9, 1)
    logits = torch.randn(6, 9, dtype=torch.float64, requires_grad=True)
    loss = info_nce(logits, label_affinity(images, texts, 0.3))
    by_image = -(slow_target(images, texts, 0.3) * logits.log_softmax(1)).sum(1).mean()
    by_text = -(slow_target(texts, images, 0.3) * logits.t().log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss, (by_image + by_text) / 2, atol=1e-12, rtol=0)
    assert torch.autograd.gradcheck(lambda x: info_nce(x, label_affinity(images, texts, 0.3)), logits)


def test_opposite_labels_have_the_least_mass_and_equal_ones_the_most():
    row = label_affinity(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [-1.0, 0.0]]))
    assert row[0].tolist() == pytest.approx([1, math.exp(-1), math.exp(-1), math.exp(-2)])


def test_an_image_without_labels_has_a_uniform_row():
    row = label_affinity(torch.zeros(1, 2), torch.tensor([[1.0, 0.0], [1.0, -1.0], [0.0, 0.0]]))
    torch.testing.assert_close(row / row.sum(), torch.full((1, 3), 1 / 3))


def test_towards_zero_the_best_texts_share_the_mass():
    row = label_affinity(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [1.0, 1.0], [1.0, 0.0]]), 0.02)
    torch.testing.assert_close(row / row.sum(), torch.tensor([[0.5, 0.0, 0.5]]), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=r"0\.001"):
        label_affinity(torch.zeros(1, 2), torch.zeros(1, 2), 0.001)


def test_the_order_of_labels_and_their_number_do_not_matter():
    images, texts = labels(6, 0), labels(9, 1)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(label_affinity(images[:, order], texts[:, order]), label_affinity(images, texts))
    torch.testing.assert_close(label_affinity(images.repeat(1, 3), texts.repeat(1, 3)), label_affinity(images, texts))


def test_soft_targets():
    similarity = torch.randn(3, 7, dtype=torch.float64)
    target = torch.eye(3, 7, dtype=torch.float64)
    target[0, 4] = 1
    torch.testing.assert_close(momentum_target(similarity, target, 0.0)[0, [0, 4]], torch.full((2,), 0.5).double())
    mixed = momentum_target(similarity, target, 0.4)
    torch.testing.assert_close(mixed.sum(1), torch.ones(3).double())
    torch.testing.assert_close(mixed[1], 0.4 * similarity[1].softmax(0) + 0.6 * target[1])
