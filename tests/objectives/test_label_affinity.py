"""Targets from labels: loops, hand values, and the soft cross-entropy that they go into."""

import math

import pytest
import torch

from medvlp.objectives import info_nce, label_affinity, signed_labels

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
