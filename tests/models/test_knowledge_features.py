"""Retrieval over facets, and the book as tensors.
The anatomy book: one row a place, and what places have in common taken out.
Captions from labels: of a present finding, of a normal chest where nothing is, each about as often.
Pairs of knowledge: what is said of what, what is right for what, and what noise may touch.
"""

from collections import Counter

import pytest
import torch

from medvlp.knowledge import NOT_PRESENT_SENTENCE, PLACES, BookText, ConceptGraph, KnowledgeBook, place_sentence
from medvlp.knowledge.prompts import PromptSet
from medvlp.models import (
    KnowledgePairs,
    LabelCaptions,
    ReportTokenizer,
    TextBank,
    TextEncoder,
    book_features,
    knowledge_texts,
    place_features,
    retrieve_facets,
)


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


@pytest.fixture(scope="module")
def book():
    return KnowledgeBook.load("default")


@pytest.fixture(scope="module")
def tokenizer(book):
    return ReportTokenizer.train([text for pair in knowledge_texts(book) for text in pair], 600, min_frequency=1)


def test_each_relation_is_asked_both_ways_and_each_name_for_its_definition(book):
    pairs = knowledge_texts(book)
    assert len(pairs) == 2 * len(ConceptGraph.load().relations()) + len(book.findings) == 1953  # stated in the docs
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
