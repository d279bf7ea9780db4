"""Joining sentences in another order: against the tokenizer's own reading of the text."""

import pytest
import torch

from medvlp.models import ReportTokenizer
from medvlp.objectives import join_sentences

REPORTS = [
    ["The heart is enlarged.", "No pneumothorax.", "There is a small left pleural effusion."],
    ["Lungs are clear."],
    [],
]


@pytest.fixture(scope="module")
def tokenizer():
    return ReportTokenizer.train([" ".join(report) for report in REPORTS], vocab_size=120, min_frequency=1)


@pytest.fixture
def sentences(tokenizer):
    padded = [[*report, "", "", ""][:3] for report in REPORTS]
    tokens, mask = tokenizer([sentence for report in padded for sentence in report], 32)
    return tokens.unflatten(0, (3, 3)), mask.unflatten(0, (3, 3))


def expected(tokenizer, order, width):
    """The reports with their sentences in this order, read by the tokenizer."""
    texts = [" ".join(report[s] for s in row if s < len(report)) for report, row in zip(REPORTS, order, strict=True)]
    ids, mask = tokenizer(texts, width)
    short = width - ids.shape[1]
    pad = torch.nn.functional.pad
    return pad(ids, (0, short), value=tokenizer.pad_id), pad(mask, (0, short))


@pytest.mark.parametrize("order", [[[0, 1, 2]] * 3, [[2, 0, 1], [1, 0, 2], [2, 1, 0]]])
@pytest.mark.parametrize("width", [64, 12, 5])
def test_it_is_what_the_tokenizer_reads_in_that_order(tokenizer, sentences, order, width):
    ids, mask = join_sentences(*sentences, torch.tensor(order), width, tokenizer)
    wanted_ids, wanted_mask = expected(tokenizer, order, width)
    assert torch.equal(ids, wanted_ids)
    assert torch.equal(mask, wanted_mask)


def test_content_of_padding_does_not_matter(tokenizer, sentences):
    tokens, mask = sentences
    order = torch.tensor([[1, 2, 0]] * 3)
    noisy = torch.where(mask, tokens, torch.randint(5, 50, tokens.shape))
    for a, b in zip(
        join_sentences(tokens, mask, order, 40, tokenizer),
        join_sentences(noisy, mask, order, 40, tokenizer),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_a_batch_without_any_report_stays_empty(tokenizer):
    tokens = torch.zeros(2, 1, 1, dtype=torch.int64)
    ids, mask = join_sentences(tokens, tokens.bool(), torch.zeros(2, 1, dtype=torch.int64), 1, tokenizer)
    assert not mask.any()
    assert ids.tolist() == [[tokenizer.pad_id]] * 2
