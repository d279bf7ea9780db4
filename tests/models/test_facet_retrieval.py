"""Retrieval over facets, and the book as tensors."""

import pytest
import torch

from medvlp.knowledge import BookText, KnowledgeBook
from medvlp.models import ReportTokenizer, TextBank, TextEncoder, book_features, retrieve_facets


@pytest.fixture
def unit():
    torch.manual_seed(0)
    normal = torch.nn.functional.normalize
    image = normal(torch.randn(3, 8, dtype=torch.float64), dim=-1)
    return image, normal(torch.randn(4, 2, 8, dtype=torch.float64), dim=-1)


def test_equals_a_loop(unit):
    image, book = unit
    mask = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1]]).bool()
    got = retrieve_facets(image, book, mask, 5.0)
    for b in range(3):
        for e in range(4):
            rows = book[e][mask[e]]
            weights = (5.0 * rows @ image[b]).softmax(0)
            torch.testing.assert_close(got[b, e], weights @ rows)


def test_one_facet_is_that_facet(unit):
    image, book = unit
    got = retrieve_facets(image, book[:, :1], torch.ones(4, 1).bool())
    torch.testing.assert_close(got, book[None, :, 0].expand(3, -1, -1))


def test_a_masked_facet_has_no_influence_and_order_does_not_matter(unit):
    image, book = unit
    first_only = torch.tensor([[1, 0]] * 4).bool()
    torch.testing.assert_close(retrieve_facets(image, book, first_only), book[None, :, 0].expand(3, -1, -1))
    both = torch.ones(4, 2).bool()
    torch.testing.assert_close(retrieve_facets(image, book.flip(1), both), retrieve_facets(image, book, both))


@pytest.fixture
def small_book():
    content = {
        "a": {"definition": BookText("fluid"), "ct": BookText("grey fluid")},
        "b": {"definition": BookText("air")},
    }
    return KnowledgeBook("small", ("definition", "ct", "shape"), {"a": "a", "b": "b"}, content)


def test_a_missing_text_is_masked(small_book):
    tokenizer = ReportTokenizer.train(["grey fluid", "air"], vocab_size=60, min_frequency=1)
    bank = TextBank(TextEncoder("small", vocab_size=tokenizer.vocab_size, layers=1, width=16, heads=2), tokenizer)
    features, mask = book_features(bank, small_book, ("a", "b"), ("definition", "ct"))
    assert mask.tolist() == [[True, True], [True, False]]
    assert features.shape == (2, 2, 16)
    assert not features[1, 1].any()
    torch.testing.assert_close(features[1, 0], bank(["air"]).global_[0])
    with pytest.raises(ValueError, match="says nothing of b in ct"):
        book_features(bank, small_book, ("a", "b"), ("ct",))
