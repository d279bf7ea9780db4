"""`KnowledgePairs`: what a book and the concept graph say, as pairs of texts that mean the same concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medvlp.knowledge import ConceptGraph, KnowledgeBook
from medvlp.models.tokenizer import ReportTokenizer


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
    """Draws pairs for a contrast that teaches a text encoder what findings are and how they hang together.

    As KAD (Zhang et al., Nature Communications 2023) makes them of UMLS, here of the book and the `ConceptGraph`:

    - "emphysema [SEP] is located in" and "the apices of the lungs"; for each relation,
    - "is located in [SEP] the apices of the lungs" and "emphysema"; for each relation,
    - "emphysema" and its definition.

    Pairs whose answers mean the same concept are right for each other, as in KAD, and so are answers to the same
    question: emphysema is located in the apices, but also in the upper zones.

    Args:
        book: whose findings, definitions and relations are read. A finding without a definition has no third pair.
        tokenizer, max_tokens: of the text encoder.
        noise: share of the tokens that are masked in every other text while training; KAD's 0.15.

    Attributes:
        cut: texts longer than `max_tokens` -> how many tokens each loses.
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
        self.cut = tokenizer.cut([*questions, *answers], max_tokens)
        tokens = {"question": tokenizer(questions, max_tokens), "answer": tokenizer(answers, max_tokens)}
        for side, (ids, mask) in tokens.items():
            self.register_buffer(f"{side}_ids", ids, persistent=False)
            self.register_buffer(f"{side}_mask", mask, persistent=False)
        self.register_buffer("question_number", _numbers(questions), persistent=False)
        self.register_buffer("concept_number", _numbers(concepts), persistent=False)

    def __len__(self) -> int:
        return len(self.question_ids)

    def draw(self, k: int, shuffle: bool = True) -> TextPairs:
        """k pairs, none twice: random and noisy ones, or evenly spaced ones as they stand."""
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
    """The pairs of a book as (question, answer, concept that the answer means)."""
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
