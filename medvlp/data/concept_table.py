"""`ConceptTable`: where in the tokens of each report a finding is named, so that a batch of spans is one gather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.report_table import ReportTable, SelectedSentences
from medvlp.knowledge import load_findings
from medvlp.reports.states import FindingState

_TEXTS_AT_ONCE = 1024
_NOTHING = np.array([0, 0, -1, FindingState.UNMENTIONED], np.int32)
_STATE = {"absent": FindingState.ABSENT, "uncertain": FindingState.UNCERTAIN, "present": FindingState.PRESENT}


class OffsetTokenizer(Protocol):
    """What a tokenizer must tell for spans; `ReportTokenizer` does."""

    def offsets(self, texts: Sequence[str], max_length: int) -> list[NDArray[np.int64]]:
        """For each text the characters of each token, `[T, 2]` begin and end; -1 for special tokens."""


@dataclass(frozen=True, eq=False)
class ConceptTable:
    """Concepts of R reports, back to back.

    Attributes:
        spans: int32 `[C, 4]`: first token, token after the last, concept, state. A concept is a finding of the
            knowledge base, by its position among `load_findings()`; the state is that of the mention.
        first: where each report's concepts begin, `[R + 1]`.
    """

    spans: NDArray[np.int32]
    first: NDArray[np.int64]

    @classmethod
    def from_reports(
        cls, reports: ReportTable, read: SelectedSentences, tokenizer: OffsetTokenizer, max_length: int
    ) -> ConceptTable:
        """The mentions of the sentences that are read, found again in the tokens of the reports' texts.

        Args:
            reports: R parsed reports, whose mentions point into the raw text.
            read: what of them is tokenized, with white space made single.
            tokenizer: of the reports. max_length: of one report; a mention that is cut off there is left out.
        """
        texts = read.texts(len(reports))
        report, begin, end, concept, state = _characters(reports, read)
        first = np.searchsorted(report, np.arange(len(texts) + 1))
        mentioning = np.flatnonzero(np.diff(first))
        spans = np.stack([begin, end, concept, state], axis=1).astype(np.int32)
        for at in range(0, len(mentioning), _TEXTS_AT_ONCE):
            some = mentioning[at : at + _TEXTS_AT_ONCE]
            for number, offsets in zip(some, tokenizer.offsets([texts[i] for i in some], max_length), strict=True):
                mine = slice(first[number], first[number + 1])
                spans[mine, :2] = _tokens(begin[mine], end[mine], offsets)
        kept = spans[:, 0] >= 0
        return cls(spans[kept], np.searchsorted(report[kept], np.arange(len(texts) + 1)))

    def gather(self, reports: NDArray[np.int64]) -> NDArray[np.int64]:
        """Concepts of some reports `[B]`, -1 for none -> `[B, K, 4]`, K the most of one; `(0, 0, -1, -1)` fills up."""
        inside = np.where(reports < 0, 0, reports)
        counts = np.where(reports < 0, 0, self.first[inside + 1] - self.first[inside])
        position = np.arange(max(1, counts.max(initial=0)))
        mask = position < counts[:, None]
        gathered = np.tile(_NOTHING.astype(np.int64), (*mask.shape, 1))
        gathered[mask] = self.spans[(self.first[inside][:, None] + position)[mask]]
        return gathered


def _characters(reports: ReportTable, read: SelectedSentences) -> tuple[NDArray[np.int64], ...]:
    """Mentions of the sentences that are read: report, begin and end in its read text, concept, state; each `[C]`."""
    mentions, sentences = reports.flat("mentions"), reports.flat("sentences")
    row = read.rows(mentions["report"], mentions["sentence"])
    concept = pd.Index(list(load_findings())).get_indexer(mentions["finding"])
    known = np.flatnonzero((concept >= 0) & (row >= 0))
    row = row[known]

    lengths = np.array([len(words) + 1 for words in read.words], np.int64)  # and the space before the next sentence
    ends = np.cumsum(lengths)
    opens = np.searchsorted(read.report, read.report)  # the first sentence of each one's report
    in_text = ends - lengths - (ends - lengths)[opens] if len(ends) else ends
    raw_begin = sentences["start"][np.searchsorted(sentences["report"], read.report) + read.number]

    texts = reports.texts
    begin, end = np.empty(len(known), np.int64), np.empty(len(known), np.int64)
    for i, (mention, sentence) in enumerate(zip(known, row, strict=True)):
        text = texts[read.report[sentence]]
        start, stop = mentions["start"][mention], mentions["end"][mention]
        before = text[raw_begin[sentence] : start]
        words = " ".join(before.split())
        begin[i] = in_text[sentence] + len(words) + (bool(words) and before[-1].isspace())
        end[i] = begin[i] + len(" ".join(text[start:stop].split()))
    state = np.array([_STATE[assertion] for assertion in mentions["assertion"][known]], np.int64)
    return read.report[row], begin, end, concept[known], state


def _tokens(begin: NDArray[np.int64], end: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Characters of spans -> first token and token after the last, `[n, 2]`; -1 for what is not all there."""
    word = np.flatnonzero(offsets[:, 0] >= 0)
    if not len(word):
        return np.full((len(begin), 2), -1)
    starts, stops = offsets[word].T
    first = np.searchsorted(stops, begin, side="right")
    last = np.searchsorted(starts, end, side="left") - 1
    whole = (first <= last) & (end <= stops[-1])
    return np.where(whole[:, None], np.stack([word[np.minimum(first, len(word) - 1)], word[last] + 1], axis=1), -1)
