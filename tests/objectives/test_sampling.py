"""Drawing sentences, and telling equal ones.
Joining sentences in another order: against the tokenizer's own reading of the text.
"""

import pytest
import torch

from medvlp.models import ReportTokenizer
from medvlp.objectives import join_sentences, row_hash, sample_sentences

# Two reports of up to four sentences; report 0 has three, of which the second states a finding; report 1 has one.
TOKENS = torch.tensor([[[5, 6], [7, 0], [8, 9], [0, 0]], [[7, 0], [0, 0], [0, 0], [0, 0]]])
MASK = TOKENS > 0
STATES = torch.full((2, 4, 3), -1, dtype=torch.int8)
STATES[0, 1, 2] = 0
STATES[1, 0, 2] = 1


def test_sentences_that_state_a_finding_come_first_then_others_then_nothing():
    drawn = sample_sentences(TOKENS, MASK, STATES, k=2, shuffle=False)
    assert drawn.tokens.tolist() == [[7, 0], [5, 6], [7, 0], [0, 0]]
    assert drawn.image_index.tolist() == [0, 0, 1, 1]
    assert drawn.exists.tolist() == [True, True, True, False]
    assert drawn.has_present.tolist() == [False, False, True, False]
    assert torch.equal(drawn.states[0], STATES[0, 1])


def test_all_are_drawn_alike_when_shuffled():
    torch.manual_seed(0)
    second = [sample_sentences(TOKENS, MASK, STATES, k=2).tokens[1].tolist() for _ in range(200)]
    share = second.count([5, 6]) / 200
    assert second.count([5, 6]) + second.count([8, 9]) == 200
    assert 0.35 < share < 0.65


def test_more_than_there_are_takes_all_and_fills_up():
    drawn = sample_sentences(TOKENS, MASK, STATES, k=9)
    assert drawn.tokens.shape == (18, 2)
    assert drawn.exists.sum() == MASK.any(2).sum()
    assert (drawn.states != -1).any(1).sum() == 2
    assert drawn.exists[:4].tolist() == [True, True, True, False]  # those without tokens come last


def test_equal_sentences_have_equal_groups_whatever_their_padding():
    drawn = sample_sentences(TOKENS, MASK, STATES, k=2, shuffle=False)
    assert drawn.group[0] == drawn.group[2]
    assert len(set(drawn.group.tolist())) == 3
    wider = torch.nn.functional.pad(TOKENS, (0, 3), value=0)
    assert torch.equal(row_hash(wider[0], wider[0] > 0), row_hash(TOKENS[0], MASK[0]))


def test_order_and_token_zero_count():
    tokens = torch.tensor([[1, 2], [2, 1], [1, 0], [1, 0]])
    mask = torch.tensor([[1, 1], [1, 1], [1, 1], [1, 0]]).bool()
    assert len(set(row_hash(tokens, mask).tolist())) == 4
    thousand = torch.randint(0, 30000, (1000, 24))
    assert len(set(row_hash(thousand, thousand >= 0).tolist())) == 1000


def test_the_first_sentences_are_taken_whatever_they_state_when_asked():
    drawn = sample_sentences(TOKENS, MASK, STATES, k=2, shuffle=False, first="any")
    assert drawn.tokens.tolist() == [[5, 6], [7, 0], [7, 0], [0, 0]]
    assert drawn.exists.tolist() == [True, True, True, False]


def test_sentences_of_what_is_there_come_before_denials_when_asked():
    states = STATES.clone()
    states[0, 2, 1] = 1
    drawn = sample_sentences(TOKENS, MASK, states, k=3, shuffle=False, first="present")
    assert drawn.tokens[:3].tolist() == [[8, 9], [7, 0], [5, 6]]
    assert drawn.has_present.tolist() == [True, False, False, True, False, False]


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
