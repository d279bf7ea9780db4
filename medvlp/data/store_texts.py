"""`StoreTexts`: what a batch holds of a store's reports, laid out so that making it is a few gathers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.concept_table import ConceptTable, OffsetTokenizer
from medvlp.data.report_text import ReadSentences, read_sentences
from medvlp.data.reports_table import ReportTable
from medvlp.data.store import Store
from medvlp.data.token_table import Tokenizer, TokenTable
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
class StoreTexts:
    """Texts of R reports with M sentences, for N rows of a store.

    Attributes:
        report: number of the report of each row, -1 for none, `[N]`.
        group: a number for each distinct text, `[R + 1]`; the last is of no report.
        reports: tokens of the reports; sentences: tokens of the sentences.
        first: where each report's sentences begin, `[R + 1]`.
        said: what each sentence says of each finding, int8 `[M, F]`.
        places: int8 `[R, F, P]`, or None.
        concepts: where the reports name findings, or None.
        max_sentences: of one report in a batch.
    """

    report: NDArray[np.int64]
    group: NDArray[np.int64]
    reports: TokenTable
    sentences: TokenTable
    first: NDArray[np.int64]
    said: NDArray[np.int8]
    places: NDArray[np.int8] | None
    max_sentences: int
    concepts: ConceptTable | None = None

    @classmethod
    def of(
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
    ) -> StoreTexts:
        """Tokenise the reports that are used; the others keep their numbers and stay empty."""
        count = len(store.reports)
        wanted = np.zeros(count, bool)
        wanted[used[used >= 0]] = True
        read = read_sentences(store.reports, sections, wanted)
        texts = read.texts(count)
        spans = ConceptTable.of(store.reports, read, cast(OffsetTokenizer, tokenizer), max_tokens) if concepts else None
        return cls(
            report=store.table["report"].to_numpy(np.int64),
            group=np.append(pd.factorize(np.array(texts, dtype=object))[0], -1).astype(np.int64),
            reports=TokenTable.of(texts, tokenizer, max_tokens),
            sentences=TokenTable.of(read.words, tokenizer, max_sentence_tokens),
            first=np.searchsorted(read.report, np.arange(count + 1)),
            said=_said(store.reports, read, findings),
            places=_places(store.reports, findings) if places else None,
            max_sentences=max_sentences,
            concepts=spans,
        )

    def of_rows(self, rows: NDArray[np.int64]) -> dict[Field, Tensor]:
        """The text fields of a `Batch`."""
        numbers = self.report[rows]
        has, begins = numbers >= 0, self.first[numbers]
        ids, mask = self.reports.gather(numbers)
        counts = np.where(has, np.minimum(self.first[numbers + 1] - begins, self.max_sentences), 0)
        places = np.arange(max(1, counts.max(initial=0)))
        sentences = np.where(places < counts[:, None], begins[:, None] + places, -1)
        sentence_ids, sentence_mask = self.sentences.gather(sentences)
        said = self.said[sentences]  # -1 takes the last row, which is unmentioned throughout
        group = np.where(has, self.group[numbers], len(self.group) + rows)  # images without report are alone
        fields: dict[Field, NDArray] = {
            "report_tokens": ids,
            "report_mask": mask,
            "sentence_tokens": sentence_ids,
            "sentence_mask": sentence_mask,
            "sentence_findings": said,
            "text_group": group,
        }
        if self.places is not None:
            fields["places"] = self.places[numbers]
        if self.concepts is not None:
            fields["concepts"] = self.concepts.gather(numbers)
        return {name: torch.from_numpy(values) for name, values in fields.items()}


def _said(reports: ReportTable, read: ReadSentences, findings: Sequence[str]) -> NDArray[np.int8]:
    """States of each read sentence, `[M + 1, F]`; the last row is for padding."""
    said = np.full((len(read.words) + 1, len(findings)), FindingState.UNMENTIONED, np.int8)
    flat = reports.flat("states")
    column = pd.Index(list(findings)).get_indexer(flat["finding"])
    row = read.rows(flat["report"], flat["sentence"])
    keep = (row >= 0) & (column >= 0)
    said[row[keep], column[keep]] = flat["state"][keep]
    return said


def _places(reports: ReportTable, findings: Sequence[str]) -> NDArray[np.int8]:
    """States of each finding at each of the 51 places, `[R + 1, F, P]`; the last row is empty."""
    from medvlp.knowledge import PLACES

    flat = reports.flat("mentions")
    strength = np.zeros((len(reports) + 1, len(findings), len(PLACES)), np.int8)
    finding = pd.Index(list(findings)).get_indexer(flat["finding"])
    place = pd.Index(list(PLACES)).get_indexer(flat["place"])
    keep = (finding >= 0) & (place >= 0)
    said = np.array([_STRENGTH.get(a, 0) for a in flat["assertion"][keep]], np.int8)
    np.maximum.at(strength, (flat["report"][keep], finding[keep], place[keep]), said)
    return _STATE[strength]
