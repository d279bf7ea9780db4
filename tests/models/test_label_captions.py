"""Captions from labels: of a present finding, of a normal chest where nothing is, each about as often."""

from collections import Counter

import pytest
import torch

from medvlp.knowledge import KnowledgeBook
from medvlp.knowledge.prompts import PromptSet
from medvlp.models import LabelCaptions, ReportTokenizer

FINDINGS = ("pneumonia", "cardiomegaly", "pleural_effusion")


@pytest.fixture(scope="module")
def world():
    book, prompts = KnowledgeBook.load("default"), PromptSet.load("hierarchy")
    said = {finding: prompts.prompts(finding, book).present for finding in (*FINDINGS, "no_finding")}
    tokenizer = ReportTokenizer.train([text for texts in said.values() for text in texts], 300, min_frequency=1)
    return LabelCaptions(FINDINGS, book, tokenizer, 64), said, tokenizer


def drawn(world, states, times=1):
    captions, _, tokenizer = world
    torch.manual_seed(0)
    ids, mask = captions(torch.tensor([states] * times, dtype=torch.int8))
    assert torch.equal(ids != tokenizer.pad_id, mask)
    return Counter(tokenizer.decode(row.tolist()) for row in ids)


def known_by(world, finding):
    _, said, tokenizer = world
    return {tokenizer.decode(tokenizer([text], 64)[0][0].tolist()) for text in said[finding]}


def test_a_caption_is_of_a_present_finding_and_names_what_it_is_a_kind_of(world):
    counts = drawn(world, [1, 0, -1], 300)
    assert set(counts) == known_by(world, "pneumonia")
    assert min(counts.values()) > 30  # of five templates
    assert all("lung opacity" in text for text in counts)


def test_each_of_several_findings_is_drawn(world):
    counts = drawn(world, [1, 2, 1], 300)
    pneumonia = sum(n for text, n in counts.items() if text in known_by(world, "pneumonia"))
    effusion = sum(n for text, n in counts.items() if text in known_by(world, "pleural_effusion"))
    assert pneumonia + effusion == 300
    assert 110 < pneumonia < 190


@pytest.mark.parametrize("states", [[0, 0, 0], [0, -1, -1]])
def test_an_image_on_which_nothing_is_present_is_normal(world, states):
    assert set(drawn(world, states, 100)) == known_by(world, "no_finding")
