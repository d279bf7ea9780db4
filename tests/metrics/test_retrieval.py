import numpy as np
import pytest

from medvlp.metrics import finding_overlap, precision_at_k, recall_at_k


def test_recall_by_hand():
    similarity = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.1, 0.2, 0.3]])
    relevant = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    assert recall_at_k(similarity, relevant, 1)[:2].tolist() == [1, 0]
    assert recall_at_k(similarity, relevant, 3)[:2].tolist() == [1, 1]
    assert np.isnan(recall_at_k(similarity, relevant, 1)[2])


def test_a_collapsed_model_recalls_nothing_and_has_chance_precision():
    same = np.ones((4, 100))
    relevant = np.zeros((4, 100), dtype=bool)
    relevant[:, 0] = True
    relevant[:, 50] = True
    assert recall_at_k(same, relevant, 5).tolist() == [0, 0, 0, 0]
    assert precision_at_k(same, relevant, 5) == pytest.approx([0.02] * 4)


def test_agrees_with_sorting_when_nothing_ties():
    rng = np.random.default_rng(0)
    similarity, relevance = rng.normal(size=(20, 30)), rng.random((20, 30))
    order = np.argsort(-similarity, axis=1)[:, :5]
    expected = np.take_along_axis(relevance, order, axis=1).mean(axis=1)
    np.testing.assert_allclose(precision_at_k(similarity, relevance, 5), expected)
    relevant = relevance > 0.9
    hits = np.take_along_axis(relevant, order, axis=1).any(axis=1)
    some = relevant.any(axis=1)
    np.testing.assert_array_equal(recall_at_k(similarity, relevant, 5)[some], hits[some])


def test_items_taken_out_of_the_gallery_do_not_count():
    similarity = np.array([[-np.inf, 0.5, 0.1, 0.0], [-np.inf] * 4, [-np.inf, -np.inf, 0.5, -np.inf]])
    relevance = np.array([[1.0, 1.0, 0.0, 1.0]] * 3)
    np.testing.assert_allclose(precision_at_k(similarity, relevance, 2), [0.5, np.nan, 0.0])
    assert np.isnan(recall_at_k(similarity, relevance > 0, 2)).tolist() == [False, True, True]


def test_a_gallery_smaller_than_k_is_taken_whole():
    assert precision_at_k([[0.3, 0.1]], [[1, 0]], 5).tolist() == [0.5]


def test_finding_overlap_is_jaccard():
    query = np.array([[1, 1, 0], [0, 0, 0]], dtype=bool)
    gallery = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0]], dtype=bool)
    np.testing.assert_allclose(finding_overlap(query, gallery), [[1 / 3, 0, 1], [0, 1, 0]])
