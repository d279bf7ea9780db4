"""A sentence moves from one report to another: words, labels and places after it."""

from dataclasses import replace

import pytest
import torch

from medvlp.data.batch import Batch
from medvlp.data.sentence_cutmix import Contradictions, PastedSentences, compatible_sentences, sentence_cutmix

CLS, SEP = 1, 2
# Findings: opacity, its child consolidation, effusion, no finding.
IS_A = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]).bool()
RULES = Contradictions(IS_A, torch.tensor([False, False, False, True]), CLS, SEP)


def sentence(*words):
    row = [CLS, *words, SEP]
    return row + [0] * (6 - len(row)), [True] * len(row) + [False] * (6 - len(row))


@pytest.fixture
def batch():
    """0: "No opacity. Scar. Normal." 1: "Consolidation." 2: "Effusion, no consolidation." 3: no report."""
    empty = ([0] * 6, [False] * 6)
    said = [
        [sentence(10, 11), sentence(12), sentence(13)],
        [sentence(20, 21, 22), empty, empty],
        [sentence(30, 31), empty, empty],
        [empty, empty, empty],
    ]
    n = -1
    states = [
        [[0, n, n, n], [n, n, n, n], [n, n, n, 1]],
        [[n, 1, n, n], [n] * 4, [n] * 4],
        [[n, 0, 1, n], [n] * 4, [n] * 4],
        [[n] * 4] * 3,
    ]
    findings = [[0, n, n, 1], [n, 1, n, n], [n, 0, 1, n], [n] * 4]
    words = [[10, 11, 12, 13], [20, 21, 22], [30, 31], []]
    reports = torch.zeros(4, 6, dtype=torch.long)
    mask = torch.zeros(4, 6, dtype=torch.bool)
    for i, row in enumerate(words):
        if row:
            reports[i, : len(row) + 2] = torch.tensor([CLS, *row, SEP])
            mask[i, : len(row) + 2] = True
    ids = [str(i) for i in range(4)]
    places = torch.full((4, 4, 2), -1, dtype=torch.int8)
    places[0, 0, 0], places[1, 1, 1] = 0, 1
    return Batch(
        images=torch.zeros(4, 1, 8, 8),
        report_tokens=reports,
        report_mask=mask,
        sentence_tokens=torch.tensor([[s[0] for s in row] for row in said]),
        sentence_mask=torch.tensor([[s[1] for s in row] for row in said]),
        findings=torch.tensor(findings, dtype=torch.int8),
        sentence_findings=torch.tensor(states, dtype=torch.int8),
        text_group=torch.arange(4),
        image_ids=ids,
        study_ids=ids,
        patient_ids=ids,
        places=places,
    )


def paste(batch, donors, mixed):
    rows = torch.tensor(donors)
    return PastedSentences(
        batch.sentence_tokens[rows, 0],
        batch.sentence_mask[rows, 0],
        batch.sentence_findings[rows, 0],
        rows,
        torch.tensor(mixed),
    )


def words_of(tokens, mask):
    return [token for token in tokens[mask].tolist() if token not in (CLS, SEP)]


def test_what_is_pasted_is_there_and_what_contradicts_it_is_gone(batch):
    after = sentence_cutmix(batch, paste(batch, [1, 0, 0, 0], [True, False, False, False]), RULES, 32)
    assert after.findings[0].tolist() == [-1, 1, -1, 0]  # nobody denies the opacity any more, and nothing is normal
    assert words_of(after.report_tokens[0], after.report_mask[0]) == [20, 21, 22, 12]
    assert after.report_tokens[0, :6].tolist() == [CLS, 20, 21, 22, 12, SEP]
    assert after.report_mask[0].sum() == 6
    assert after.sentence_mask[0].any(1).tolist() == [False, True, False, True]
    assert after.sentence_tokens[0, 3].tolist() == batch.sentence_tokens[1, 0].tolist()
    said = after.sentence_findings[0]
    assert said[:, 1].tolist() == [-1, -1, -1, 1]
    assert not ((said == 0) & torch.tensor([True, True, False, False])).any()
    assert not (said[:, 3] == 1).any()
    assert after.places[0].tolist() == [[-1, -1], [-1, 1], [-1, -1], [-1, -1]]


def test_what_a_sentence_denies_beside_is_learned_where_nothing_was_said(batch):
    batch.findings[0, 1] = -1
    after = sentence_cutmix(batch, paste(batch, [2, 2, 2, 2], [True, False, False, False]), RULES, 32)
    assert after.findings[0].tolist() == [0, 0, 1, 0]  # effusion says nothing against "no opacity"
    assert words_of(after.report_tokens[0], after.report_mask[0]) == [30, 31, 10, 11, 12]


def test_what_is_not_mixed_stays(batch):
    after = sentence_cutmix(batch, paste(batch, [1, 2, 1, 2], [False] * 4), RULES, 32)
    for name in ("findings", "places", "images", "text_group"):
        assert torch.equal(getattr(after, name), getattr(batch, name)), name
    for i in range(4):
        assert (
            after.report_tokens[i][after.report_mask[i]].tolist()
            == batch.report_tokens[i][batch.report_mask[i]].tolist()
        )
    assert torch.equal(after.sentence_tokens[:, :3], batch.sentence_tokens)
    assert torch.equal(after.sentence_mask[:, :3], batch.sentence_mask)
    assert not after.sentence_mask[:, 3].any()
    assert torch.equal(after.sentence_findings[:, :3], batch.sentence_findings)
    assert (after.sentence_findings[:, 3] == -1).all()


def test_a_report_that_grows_too_long_loses_its_end_and_not_what_is_new(batch):
    after = sentence_cutmix(batch, paste(batch, [2, 0, 0, 0], [True, False, False, False]), RULES, 6)
    assert after.report_tokens.shape == (4, 6)
    assert after.report_tokens[0].tolist() == [CLS, 30, 31, 10, 11, SEP]


def test_which_sentences_may_be_pasted(batch):
    states, owner = batch.sentence_findings[:, 0], torch.arange(4)
    assert compatible_sentences(batch, states, owner, RULES).tolist() == [
        [False, True, True, False],  # consolidation and effusion are new; "no opacity" is no finding
        [False, False, False, False],  # effusion comes with "no consolidation", which it has
        [False, True, False, False],
        [False, False, False, False],  # no report
    ]
    normal = batch.sentence_findings[:, 2]
    assert not compatible_sentences(batch, normal, torch.full((4,), 3), RULES).any()


def test_a_partner_with_the_same_disease_gives_nothing(batch):
    batch.findings[0] = batch.findings[1]
    states, owner = batch.sentence_findings[:, 0], torch.arange(4)
    assert not compatible_sentences(batch, states, owner, RULES)[0, 1]


def test_places_and_concepts_are_optional(batch):
    pasted = paste(batch, [1, 0, 0, 0], [True, False, False, False])
    assert sentence_cutmix(replace(batch, places=None), pasted, RULES, 32).places is None
    concepts = torch.arange(16).view(4, 1, 4)
    after = sentence_cutmix(replace(batch, concepts=concepts), pasted, RULES, 32).concepts
    assert after[0].tolist() == [[0, 0, -1, -1]]
    assert torch.equal(after[1:], concepts[1:])
