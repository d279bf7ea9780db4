"""Pairs of knowledge: what is said of what, what is right for what, and what noise may touch."""

import pytest
import torch

from medvlp.knowledge import ConceptGraph, KnowledgeBook
from medvlp.models import KnowledgePairs, ReportTokenizer, knowledge_texts


@pytest.fixture(scope="module")
def book():
    return KnowledgeBook.load("default")


@pytest.fixture(scope="module")
def tokenizer(book):
    return ReportTokenizer.train([text for pair in knowledge_texts(book) for text in pair], 600, min_frequency=1)


def test_each_relation_is_asked_both_ways_and_each_name_for_its_definition(book):
    pairs = knowledge_texts(book)
    assert len(pairs) == 2 * len(ConceptGraph.load().relations()) + len(book.findings) == 1946  # stated in the docs
    assert ("emphysema [SEP] is located in", "the apices of the lungs", "lung_apices") in pairs
    assert ("is located in [SEP] the apices of the lungs", "emphysema", "emphysema") in pairs
    assert ("pneumothorax", book.text("pneumothorax", "definition"), "pneumothorax") in pairs


def test_a_book_of_few_findings_asks_of_those_alone(book, tmp_path):
    book.to_yaml(tmp_path / "book.yaml", ["pneumothorax", "edema"])
    few = knowledge_texts(KnowledgeBook.load(tmp_path / "book.yaml"))
    assert {question.split(" [SEP]")[0] for question, _, _ in few if " [SEP]" in question} >= {"pneumothorax"}
    assert {concept for question, _, concept in few if "[SEP]" not in question} == {"pneumothorax", "edema"}
    assert len(few) < 40


def test_the_separator_is_one_token(book, tokenizer):
    pairs = KnowledgePairs(book, tokenizer)
    assert ((pairs.question_ids[0] == tokenizer.sep_id) & pairs.question_mask[0]).sum() == 2  # its own and the last one
    assert tokenizer.unk_id not in pairs.question_ids[:50]


def test_what_is_right_for_what(book, tokenizer):
    texts, pairs = knowledge_texts(book), KnowledgePairs(book, tokenizer)
    everything = pairs.sample(len(pairs) + 5, shuffle=False)  # never more than there are
    assert everything.same.shape == (len(texts),) * 2
    assert torch.equal(everything.questions, pairs.question_ids)
    rows = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0))[:40].tolist()
    for i in rows:
        for j, (question, _, concept) in enumerate(texts):
            assert everything.same[i, j] == (texts[i][0] == question or texts[i][2] == concept)


def test_draws_are_random_in_training_and_fixed_without(book, tokenizer):
    pairs = KnowledgePairs(book, tokenizer)
    assert torch.equal(pairs.sample(8, shuffle=False).questions, pairs.sample(8, shuffle=False).questions)
    torch.manual_seed(0)
    first, second = pairs.sample(8), pairs.sample(8)
    assert not torch.equal(first.questions, second.questions)
    assert (pairs.sample(len(pairs)).same.diagonal()).all()
    torch.manual_seed(0)
    all_of_them = pairs.sample(len(pairs))
    lengths = all_of_them.question_mask.sum(1).sort().values
    assert torch.equal(lengths, pairs.question_mask.sum(1).sort().values)  # none twice


def test_noise_masks_words_of_every_other_text(book, tokenizer):
    torch.manual_seed(0)
    pairs = KnowledgePairs(book, tokenizer)
    ids, mask = pairs.answer_ids, pairs.answer_mask
    noisy = pairs._noisy(ids, mask)
    changed = noisy != ids
    assert (noisy[changed] == tokenizer.mask_id).all()
    assert not changed[~mask].any()
    assert not changed[(ids == tokenizer.cls_id) | (ids == tokenizer.sep_id)].any()
    words = mask & (ids != tokenizer.cls_id) & (ids != tokenizer.sep_id)
    assert changed.sum().item() / words.sum().item() == pytest.approx(0.075, abs=0.01)
    long = words.sum(1) > 25
    assert changed[long].any(1).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert torch.equal(KnowledgePairs(book, tokenizer, noise=0.0)._noisy(ids, mask), ids)


def test_the_pairs_move_with_the_method_and_are_no_weights(book, tokenizer):
    pairs = KnowledgePairs(book, tokenizer)
    assert pairs.state_dict() == {}
    assert pairs.to("meta").sample(4).same.device.type == "meta"
