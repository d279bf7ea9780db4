"""The anatomy book: one row a place, and what places have in common taken out."""

import pytest
import torch

from medvlp.knowledge import NOT_PRESENT_SENTENCE, PLACES, place_sentence
from medvlp.models import ReportTokenizer, TextBank, TextEncoder, place_features


@pytest.fixture(scope="module")
def bank():
    torch.manual_seed(0)
    words = [place_sentence(place) for place in PLACES] + [NOT_PRESENT_SENTENCE]
    tokenizer = ReportTokenizer.train(words, vocab_size=200, min_frequency=1)
    return TextBank(TextEncoder("small", tokenizer.vocab_size, layers=1, width=16, heads=2), tokenizer)


def test_one_row_a_place_around_zero(bank):
    with torch.no_grad():
        book, with_absent = place_features(bank), place_features(bank, absent=True)
        left = bank(["It is located at the left lower lobe."]).global_
        right = bank(["It is located at the right lower lobe."]).global_
    assert book.shape == (len(PLACES), 16)
    assert with_absent.shape == (len(PLACES) + 1, 16)
    torch.testing.assert_close(book.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    row = {place: book[i] for i, place in enumerate(PLACES)}
    between = row["lower_left_lobe"] - row["lower_right_lobe"]
    torch.testing.assert_close(between, (left - right)[0], atol=1e-5, rtol=1e-4)
    assert (book[:, None] - book[None]).norm(dim=2).add(torch.eye(51)).min() > 1e-3  # no two places are alike
