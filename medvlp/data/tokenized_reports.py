"""`TokenizedReports`: the reports of a store as tokens, in arrays from which a batch is a few gathers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.concept_table import ConceptTable, OffsetTokenizer
from medvlp.data.report_table import ReportTable, SelectedSentences, select_sentences
from medvlp.data.store import Store
from medvlp.reports.states import FindingState

_STRENGTH = {"absent": 1, "uncertain": 2, "present": 3}  # where sentences disagree on a place, the stronger holds
_STATE = np.array(
    [FindingState.UNMENTIONED, FindingState.ABSENT, FindingState.UNCERTAIN, FindingState.PRESENT], np.int8
)

Field = Literal[
    "report_tokens",
    "report_mask",
    "sentence_tokens",
    "sentence_mask",
    "sentence_findings",
    "text_group",
    "places",
    "concepts",
]


@dataclass(frozen=True, eq=False)
class TokenizedReports:
    """Texts of R reports with M sentences, for N rows of a store.

    Attributes:
        report: number of the report of each row, -1 for none, `[N]`.
        group: a number for each distinct text, `[R + 1]`; the last is of no report.
        reports: tokens of the reports; sentences: tokens of the sentences.
        first: where each report's sentences begin, `[R + 1]`.
        sentence_states: the state of each finding in each sentence, int8 `[M + 1, F]`; the last row is padding.
        places: int8 `[R, F, P]`, or None.
        concepts: where the reports name findings, or None.
        max_sentences: of one report in a batch.
    """

    report: NDArray[np.int64]
    group: NDArray[np.int64]
    reports: TokenTable
    sentences: TokenTable
    first: NDArray[np.int64]
    sentence_states: NDArray[np.int8]
    places: NDArray[np.int8] | None
    max_sentences: int
    concepts: ConceptTable | None = None

    @classmethod
    def from_store(
        cls,
        store: Store,
        used: NDArray[np.integer],
        tokenizer: Tokenizer,
        findings: Sequence[str],
        sections: Sequence[str],
        max_tokens: int,
        max_sentences: int,
        max_sentence_tokens: int,
        places: bool,
        concepts: bool = False,
    ) -> TokenizedReports:
        """Tokenize the reports that are used; the others keep their numbers and stay empty."""
        count = len(store.reports)
        wanted = np.zeros(count, bool)
        wanted[used[used >= 0]] = True
        read = select_sentences(store.reports, sections, wanted)
        texts = read.texts(count)
        spans = (
            ConceptTable.from_reports(store.reports, read, cast(OffsetTokenizer, tokenizer), max_tokens)
            if concepts
            else None
        )
        return cls(
            report=store.table["report"].to_numpy(np.int64),
            group=np.append(pd.factorize(np.array(texts, dtype=object))[0], -1).astype(np.int64),
            reports=TokenTable.from_texts(texts, tokenizer, max_tokens),
            sentences=TokenTable.from_texts(read.words, tokenizer, max_sentence_tokens),
            first=np.searchsorted(read.report, np.arange(count + 1)),
            sentence_states=_sentence_states(store.reports, read, findings),
            places=_places(store.reports, findings) if places else None,
            max_sentences=max_sentences,
            concepts=spans,
        )

    def rows(self, rows: NDArray[np.int64]) -> dict[Field, Tensor]:
        """The text fields of a `Batch`."""
        numbers = self.report[rows]
        has, begins = numbers >= 0, self.first[numbers]
        ids, mask = self.reports.gather(numbers)
        counts = np.where(has, np.minimum(self.first[numbers + 1] - begins, self.max_sentences), 0)
        position = np.arange(max(1, counts.max(initial=0)))
        sentences = np.where(position < counts[:, None], begins[:, None] + position, -1)
        sentence_ids, sentence_mask = self.sentences.gather(sentences)
        states = self.sentence_states[sentences]  # -1 takes the last row, which is unmentioned throughout
        group = np.where(has, self.group[numbers], len(self.group) + rows)  # images without report are alone
        fields: dict[Field, NDArray] = {
            "report_tokens": ids,
            "report_mask": mask,
            "sentence_tokens": sentence_ids,
            "sentence_mask": sentence_mask,
            "sentence_findings": states,
            "text_group": group,
        }
        if self.places is not None:
            fields["places"] = self.places[numbers]
        if self.concepts is not None:
            fields["concepts"] = self.concepts.gather(numbers)
        return {name: torch.from_numpy(values) for name, values in fields.items()}


def _sentence_states(reports: ReportTable, read: SelectedSentences, findings: Sequence[str]) -> NDArray[np.int8]:
    """States of each read sentence, `[M + 1, F]`; the last row is for padding."""
    states = np.full((len(read.words) + 1, len(findings)), FindingState.UNMENTIONED, np.int8)
    flat = reports.flat("states")
    column = pd.Index(list(findings)).get_indexer(flat["finding"])
    row = read.rows(flat["report"], flat["sentence"])
    keep = (row >= 0) & (column >= 0)
    states[row[keep], column[keep]] = flat["state"][keep]
    return states


def _places(reports: ReportTable, findings: Sequence[str]) -> NDArray[np.int8]:
    """States of each finding at each of the 51 places, `[R + 1, F, P]`; the last row is empty."""
    from medvlp.knowledge import PLACES

    flat = reports.flat("mentions")
    strength = np.zeros((len(reports) + 1, len(findings), len(PLACES)), np.int8)
    finding = pd.Index(list(findings)).get_indexer(flat["finding"])
    place = pd.Index(list(PLACES)).get_indexer(flat["place"])
    keep = (finding >= 0) & (place >= 0)
    strengths = np.array([_STRENGTH.get(a, 0) for a in flat["assertion"][keep]], np.int8)
    np.maximum.at(strength, (flat["report"][keep], finding[keep], place[keep]), strengths)
    return _STATE[strength]


Tokenizer = Callable[..., tuple[Any, Any]]  # tokenizer(texts, max_length=n) -> ids int64 [N, T], mask bool [N, T]
_TEXTS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Tokens of N texts, back to back.

    Attributes:
        tokens: int32, all texts' tokens one after the other.
        offsets: where each text begins, `[N + 1]`.
        pad: the id that fills up a batch.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pad: int

    @classmethod
    def from_texts(cls, texts: Sequence[str], tokenizer: Tokenizer, max_length: int) -> TokenTable:
        """Tokenize `texts`, each distinct one once. An empty text has no tokens, not even the special ones."""
        distinct = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        pieces: list[NDArray[np.int32]] = []
        pad = 0
        keys = list(distinct)
        for start in range(0, len(keys), _TEXTS_AT_ONCE):
            some = keys[start : start + _TEXTS_AT_ONCE]
            ids, mask = (np.asarray(a) for a in tokenizer(some, max_length=max_length))
            mask = mask.astype(bool)
            if not mask.all():
                pad = int(ids[~mask][0])
            pieces += [
                ids[i][mask[i]].astype(np.int32) if text else np.empty(0, np.int32) for i, text in enumerate(some)
            ]
        order = [distinct[text] for text in texts]
        lengths = np.array([len(pieces[i]) for i in order], np.int64)
        tokens = np.concatenate([pieces[i] for i in order]) if order else np.empty(0, np.int32)
        return cls(tokens, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), pad)

    def gather(self, texts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Tokens of some texts `[...]`, -1 for no text: ids `[..., T]` and mask, T the longest among them."""
        starts = self.offsets[texts]
        lengths = np.where(texts < 0, 0, self.offsets[texts + 1] - starts)
        position = np.arange(max(1, lengths.max(initial=0)))
        mask = position < lengths[..., None]
        ids = np.full(mask.shape, self.pad, np.int64)
        ids[mask] = self.tokens[(starts[..., None] + position)[mask]]
        return ids, mask
