"""Which words of a report a model reads: the sentences of some sections, as text and one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medvlp.data.reports_table import ReportTable

READ_SECTIONS = ("findings", "impression")
_MANY = 1 << 20  # sentences of one report, never reached: makes one number of a report's and a sentence's


@dataclass(frozen=True, eq=False)
class ReadSentences:
    """The sentences that are read, of all reports, in the order of the reports.

    Attributes:
        report: number of the report that each is of, `[M]`, ascending.
        number: its index among all sentences of its report, `[M]`; mentions and states point to it.
        words: its text with runs of white space as one space, `[M]`.
    """

    report: NDArray[np.int64]
    number: NDArray[np.int64]
    words: list[str]

    def texts(self, reports: int) -> list[str]:
        """For each of so many reports its sentences joined by a space; empty where none is read."""
        bounds = np.searchsorted(self.report, np.arange(reports + 1))
        return [" ".join(self.words[a:b]) for a, b in pairwise(bounds)]

    def rows(self, report: NDArray[np.integer], number: NDArray[np.integer]) -> NDArray[np.int64]:
        """Which of the M sentences is sentence `number` of `report`, `[...]`; -1 where it is not read."""
        mine, key = self.report * _MANY + self.number, report.astype(np.int64) * _MANY + number
        row = np.searchsorted(mine, key)
        found = (number >= 0) & (np.append(mine, -1)[row] == key)
        return np.where(found, row, -1)


def read_sentences(
    reports: ReportTable, sections: Sequence[str] = READ_SECTIONS, wanted: NDArray[np.bool_] | None = None
) -> ReadSentences:
    """The sentences of some sections; of a report that has none of these sections (a caption), all sentences.

    Args:
        reports: R parsed reports.
        sections: names of the sections that are read.
        wanted: `[R]`, which reports to read; default all.
    """
    flat = reports.flat("sentences")
    report = flat["report"]
    number = np.arange(len(report)) - np.searchsorted(report, report)
    in_section = np.isin(flat["section"].astype(str), list(sections))
    headed = np.bincount(report[in_section], minlength=len(reports)) > 0
    keep = in_section | ~headed[report]
    keep = np.flatnonzero(keep if wanted is None else keep & wanted[report])
    texts = reports.texts
    words = [" ".join(texts[report[i]][flat["start"][i] : flat["end"][i]].split()) for i in keep]
    return ReadSentences(report[keep], number[keep], words)
