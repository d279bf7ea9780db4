"""The texts of the knowledge base as tensors: facets, places, captions of labels, pairs of question and answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medvlp.knowledge import NOT_PRESENT_SENTENCE, PLACES, ConceptGraph, KnowledgeBook, place_sentence
from medvlp.knowledge.prompts import PromptSet
from medvlp.knowledge.study_labels import NO_FINDING
from medvlp.models.text_bank import TextBank
from medvlp.models.tokenizer import ReportTokenizer
from medvlp.reports.states import FindingState


def book_texts(book: KnowledgeBook, findings: Sequence[str], facets: Sequence[str]) -> list[list[str | None]]:
    """Texts of a book for E findings in K facets, `[finding][facet]`; None where it has none.

    Raises:
        UnknownNameError: a finding or facet that the book lacks.
        ValueError: a finding without a text in any of the facets.

    Examples:
        >>> book_texts(KnowledgeBook.load("default"), ["edema"], ["name"])
        [['pulmonary edema']]
    """
    texts = book.texts(findings, facets)
    for finding, row in zip(findings, texts, strict=True):
        if not any(row):
            raise ValueError(
                f"the book {book.name} says nothing of {finding} in {', '.join(facets) or 'no facet'}; name another one"
            )
    return texts


def book_features(
    bank: TextBank, book: KnowledgeBook, findings: Sequence[str], facets: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Encode `book_texts`.

    Returns:
        features `[E, K, D]`, zero where the book has no text; and mask bool `[E, K]`, True where it has.
    """
    texts = book_texts(book, findings, facets)
    encoded = bank([text or "" for row in texts for text in row])
    shape = (len(findings), len(facets))
    return encoded.global_.unflatten(0, shape), encoded.mask.any(1).unflatten(0, shape)


def retrieve_facets(image: Tensor, book: Tensor, mask: Tensor, sharpness: float | Tensor = 1.0) -> Tensor:
    """For each image and finding, the average of its facets, weighted by their similarity to the image.

        w_bek = softmax_k(s <v_b, K_ek>)      r_be = sum_k w_bek K_ek

    The knowledge retrieval module of DeViDe, as reconstructed. With one facet it is that facet; the order of facets
    does not matter.

    Args:
        image: v, `[B, D]`. book: K, `[E, K, D]`. mask: bool `[E, K]`, at least one True in each row.
        sharpness: s.

    Returns:
        `[B, E, D]`.

    Examples:
        >>> book, mask = torch.eye(2)[None], torch.tensor([[True, True]])  # one finding, two facets
        >>> retrieve_facets(torch.tensor([[1.0, 0.0]]), book, mask, sharpness=10.0)
        tensor([[[9.9995e-01, 4.5398e-05]]])
    """
    fit = torch.einsum("bd,ekd->bek", image, book) * sharpness
    weights = fit.masked_fill(~mask, float("-inf")).softmax(-1)
    return torch.einsum("bek,ekd->bed", weights, book)


def place_features(bank: TextBank, absent: bool = False) -> Tensor:
    """ "It is located at ..." of each place, `[51, D]`, less their mean (MedKLIP, Wu et al., ICCV 2023).

    A softmax over places is invariant to a common shift; but texts that differ in one word are nearly parallel, and
    what they share would take the digits of bfloat16.

    Args:
        bank: encodes the sentences.
        absent: one more row, of "It is not present." (MAVL, Phan et al., CVPR 2024).
    """
    sentences = [place_sentence(place) for place in PLACES] + [NOT_PRESENT_SENTENCE] * absent
    features = bank(sentences).global_
    return features - features.mean(0)


class LabelCaptions(nn.Module):
    """Templates filled with a finding that is present, and with what it is a kind of (KEEP's hierarchical captions).

    Args:
        findings: ids, the columns of the states. book: their names.
        tokenizer: of the text encoder. max_tokens: longer captions lose their end.
        prompt_set: of `medvlp.knowledge.prompts`, whose sentences for presence are taken; those of `no_finding` are for
            images on which nothing is present.

    Attributes:
        truncated_texts: captions longer than `max_tokens` -> how many tokens each loses.

    Examples:
        >>> tokenizer = ReportTokenizer.train(["no edema"], vocab_size=64, min_frequency=1)
        >>> book = KnowledgeBook.load("default")
        >>> ids, mask = LabelCaptions(["edema"], book, tokenizer, max_tokens=16)(torch.tensor([[1], [0]]))
        >>> ids.shape == mask.shape, len(ids)
        (True, 2)
    """

    ids: Tensor
    mask: Tensor

    def __init__(
        self,
        findings: Sequence[str],
        book: KnowledgeBook,
        tokenizer: ReportTokenizer,
        max_tokens: int,
        prompt_set: str = "hierarchy",
    ) -> None:
        super().__init__()
        prompts = PromptSet.load(prompt_set)
        captions = [prompts.prompts(finding, book).present for finding in (*findings, NO_FINDING)]
        most = max(map(len, captions))
        self.truncated_texts = tokenizer.truncated_texts((text for texts in captions for text in texts), max_tokens)
        ids, mask = tokenizer([texts[k % len(texts)] for texts in captions for k in range(most)], max_tokens)
        self.register_buffer("ids", ids.unflatten(0, (len(captions), most)), persistent=False)
        self.register_buffer("mask", mask.unflatten(0, (len(captions), most)), persistent=False)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """States int8 `[B, F]` -> ids int64 and mask bool `[B, T]`: one present finding of each image, drawn."""
        present = states == FindingState.PRESENT
        order = torch.rand(present.shape, device=states.device).masked_fill(~present, -1.0)
        normal = order.new_full((len(order), 1), -0.5)  # behind what is present, before what is not
        finding = torch.cat([order, normal], dim=1).argmax(1)
        template = torch.randint(self.ids.shape[1], finding.shape, device=states.device)
        return self.ids[finding, template], self.mask[finding, template]


@dataclass
class TextPairs:
    """K pairs of a question and its answer.

    Attributes:
        questions, answers: int64 `[K, T]`, token ids; question_mask, answer_mask: bool `[K, T]`.
        same: bool `[K, K]`, True where answer j is right for question i.
    """

    questions: Tensor
    question_mask: Tensor
    answers: Tensor
    answer_mask: Tensor
    same: Tensor


class KnowledgePairs(nn.Module):
    """Pairs of texts for a contrastive loss that teaches a text encoder findings and their relations.

    As KAD (Zhang et al., Nature Communications 2023) builds them from UMLS, here from the book and the `ConceptGraph`:

    - "emphysema [SEP] is located in" and "the apices of the lungs"; for each relation,
    - "is located in [SEP] the apices of the lungs" and "emphysema"; for each relation,
    - "emphysema" and its definition.

    Pairs whose answers mean the same concept are right for each other, as in KAD, and so are answers to the same
    question: emphysema is located in the apices, but also in the upper zones.

    Args:
        book: whose findings, definitions and relations are read. A finding without a definition has no third pair.
        tokenizer, max_tokens: of the text encoder.
        noise: fraction of the tokens that are masked in every other text while training; KAD's 0.15.

    Attributes:
        truncated_texts: texts longer than `max_tokens` -> how many tokens each loses.

    Examples:
        >>> tokenizer = ReportTokenizer.train(["no edema"], vocab_size=64, min_frequency=1)
        >>> book = KnowledgeBook.load("default")
        >>> pairs = KnowledgePairs(book, tokenizer).sample(4)
        >>> pairs.same.shape
        torch.Size([4, 4])
    """

    question_ids: Tensor
    question_mask: Tensor
    answer_ids: Tensor
    answer_mask: Tensor
    question_number: Tensor
    concept_number: Tensor

    def __init__(
        self, book: KnowledgeBook, tokenizer: ReportTokenizer, max_tokens: int = 128, noise: float = 0.15
    ) -> None:
        super().__init__()
        pairs = knowledge_texts(book)
        questions, answers, concepts = ([pair[i] for pair in pairs] for i in range(3))
        self.noise, self.mask_id = noise, tokenizer.mask_id
        self.special = (tokenizer.cls_id, tokenizer.sep_id)
        self.truncated_texts = tokenizer.truncated_texts([*questions, *answers], max_tokens)
        tokens = {"question": tokenizer(questions, max_tokens), "answer": tokenizer(answers, max_tokens)}
        for side, (ids, mask) in tokens.items():
            self.register_buffer(f"{side}_ids", ids, persistent=False)
            self.register_buffer(f"{side}_mask", mask, persistent=False)
        self.register_buffer("question_number", _numbers(questions), persistent=False)
        self.register_buffer("concept_number", _numbers(concepts), persistent=False)

    def __len__(self) -> int:
        return len(self.question_ids)

    def sample(self, k: int, shuffle: bool = True) -> TextPairs:
        """k distinct pairs: random ones with noise, or (`shuffle=False`) evenly spaced ones without."""
        k, device = min(k, len(self)), self.question_ids.device
        spaced = torch.arange(k, device=device) * len(self) // k
        rows = torch.rand(len(self), device=device).topk(k).indices if shuffle else spaced
        questions, answers = self.question_ids[rows], self.answer_ids[rows]
        question_mask, answer_mask = self.question_mask[rows], self.answer_mask[rows]
        if shuffle:
            questions, answers = self._noisy(questions, question_mask), self._noisy(answers, answer_mask)
        question, concept = self.question_number[rows], self.concept_number[rows]
        same = (question[:, None] == question) | (concept[:, None] == concept)
        return TextPairs(questions, question_mask, answers, answer_mask, same)

    def _noisy(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Every other text, by chance, with some of its words masked."""
        chosen = torch.rand(len(ids), 1, device=ids.device) < 0.5
        hit = chosen & mask & (torch.rand(ids.shape, device=ids.device) < self.noise)
        for token in self.special:
            hit = hit & (ids != token)
        return ids.masked_fill(hit, self.mask_id)


def knowledge_texts(book: KnowledgeBook) -> list[tuple[str, str, str]]:
    """The pairs of a book as (question, answer, concept that the answer means).

    Examples:
        >>> question, answer, concept = knowledge_texts(KnowledgeBook.load("default"))[-1]
        >>> len(answer) > len(question)
        True
    """
    graph, pairs = ConceptGraph.load(), []
    for relation, (head, phrase, tail) in zip(graph.relations(), graph.sentences(), strict=True):
        if relation.head in book.names:
            pairs.append((f"{head} [SEP] {phrase}", tail, relation.tail))
            pairs.append((f"{phrase} [SEP] {tail}", head, relation.head))
    for finding in book.findings:
        definition = book.text(finding, "definition")
        if definition:
            pairs.append((book.name_of(finding), definition, finding))
    return pairs


def _numbers(names: Sequence[str]) -> Tensor:
    """int64 `[N]`, equal for equal names."""
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([number[name] for name in names])
