"""Parsed reports as one columnar file: what `prepare` writes of them and `Store.reports` reads back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from medvlp.io.atomic_write import atomic_file
from medvlp.knowledge import load_findings
from medvlp.knowledge.study_labels import study_labels
from medvlp.reports.parse import parse_report
from medvlp.reports.report import Mention, Report, Section, Sentence
from medvlp.reports.states import FindingState


def _struct(record: type) -> pa.DataType:
    """The columns of a dataclass of the report: numbers as numbers, all else (names, words, None) as text."""
    kinds = {"int": pa.int32(), "float": pa.float64()}
    return pa.struct([(f.name, kinds.get(str(f.type).split(" ")[0], pa.string())) for f in fields(record)])


_SCHEMA = pa.schema(
    [
        ("text", pa.large_string()),
        ("sections", pa.list_(_struct(Section))),
        ("sentences", pa.list_(_struct(Sentence))),
        ("mentions", pa.list_(_struct(Mention))),
        ("states", pa.list_(pa.struct([("sentence", pa.int32()), ("finding", pa.string()), ("state", pa.int8())]))),
        ("reason", pa.string()),
    ]
)
WHOLE = -1  # the `sentence` of a state that is the whole report's


def report_row(task: tuple[str, str | None]) -> dict[str, Any]:
    """Parse one report into the row that the table holds, with the states of every finding known today.

    The states are those of `knowledge.study_labels`, hierarchy included, once over the whole report and once over each
    sentence that mentions something; unmentioned findings take no room.

    Args:
        task: the text, and its MIMIC-CXR study id where it is one.
    """
    text, study = task
    report = parse_report(text, study)
    return {
        "text": text,
        "sections": [asdict(s) for s in report.sections],
        "sentences": [asdict(s) for s in report.sentences],
        "mentions": [asdict(m) for m in report.mentions],
        "states": _states(report),
        "reason": "",
    }


def failed_report_row(text: str, reason: str) -> dict[str, Any]:
    """The row of a report that the parser gave up on: its text is kept, and the reason goes to the quarantine table."""
    return {"text": text, "sections": [], "sentences": [], "mentions": [], "states": [], "reason": reason}


def _states(report: Report) -> list[dict[str, Any]]:
    findings = tuple(load_findings())
    mentioning = sorted({m.sentence for m in report.mentions})
    parts = [(WHOLE, report)] if mentioning else []
    for sentence in mentioning:
        mentions = tuple(m for m in report.mentions if m.sentence == sentence)
        parts.append((sentence, Report(report.text, report.sections, report.sentences, mentions)))
    return [
        {"sentence": sentence, "finding": finding, "state": int(state)}
        for sentence, part in parts
        for finding, state in study_labels(part, findings, hedged="keep").items()
        if state != FindingState.UNMENTIONED
    ]


def write_reports(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows of `report_row` in one piece."""
    with atomic_file(path) as partial:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=_SCHEMA), partial, compression="zstd")


class ReportTable:
    """The distinct reports of a store, by number. Read whole on first use; no Python object is made for each report."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)

    @cached_property
    def _table(self) -> pa.Table:
        if not self._paths:
            return _SCHEMA.empty_table()
        return pa.concat_tables([pq.read_table(p, schema=_SCHEMA) for p in self._paths]).combine_chunks()

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, number: int) -> Report:
        """The report as it was parsed."""
        row = self._table.slice(number, 1).to_pylist()[0]
        return Report(
            row["text"],
            tuple(Section(**s) for s in row["sections"]),
            tuple(Sentence(**s) for s in row["sentences"]),
            tuple(Mention(**m) for m in row["mentions"]),
        )

    @cached_property
    def texts(self) -> list[str]:
        """Raw texts `[R]`."""
        return self._table["text"].to_pylist()

    def flat(self, part: str) -> dict[str, np.ndarray]:
        """All `sections | sentences | mentions | states` in one table of columns, with the `report` that each is of."""
        column = self._table[part]
        lists = column.chunk(0) if column.num_chunks else pa.array([], _SCHEMA.field(part).type)
        flat = lists.flatten()
        lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
        columns = {"report": np.repeat(np.arange(len(lists)), lengths)}
        for field, values in zip(flat.type, flat.flatten(), strict=True):
            columns[field.name] = _words(values) if pa.types.is_string(field.type) else _numbers(values)
        return columns


def _words(values: pa.Array) -> np.ndarray:
    """Names as an object array in which equal names are one object; None where there is none."""
    coded = values.dictionary_encode()
    names = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return names[coded.indices.fill_null(-1).to_numpy()]


def _numbers(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False)


DEFAULT_SECTIONS = ("findings", "impression")
_MANY = 1 << 20  # sentences of one report, never reached: makes one number of a report's and a sentence's


@dataclass(frozen=True, eq=False)
class SelectedSentences:
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


def select_sentences(
    reports: ReportTable, sections: Sequence[str] = DEFAULT_SECTIONS, wanted: NDArray[np.bool_] | None = None
) -> SelectedSentences:
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
    return SelectedSentences(report[keep], number[keep], words)
