"""`label_reports`: a stream of reports -> tables of labels, sections and triples, written row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from medvlp.knowledge.label_space import LabelSpace
from medvlp.knowledge.study_labels import study_labels
from medvlp.reports.parse import parse_report
from medvlp.reports.remark import report_remark
from medvlp.reports.states import HedgePolicy
from medvlp.reports.triples import report_triples

SECTIONS = ("examination", "indication", "history", "technique", "comparison", "findings", "impression")


def label_reports(
    reports: Iterable[tuple[str, str]],
    space: LabelSpace,
    labels: str | Path,
    hedged: HedgePolicy = "keep",
    sections: str | Path | None = None,
    triples: str | Path | None = None,
) -> Iterator[str]:
    """Parse reports and write what is asked for, one report at a time: memory does not grow with their number.

    Args:
        reports: pairs of id and text; an id that is a MIMIC-CXR study gets that study's special care.
        space: the labels, which become columns in their order.
        labels: CSV to write: `id`, and for each label `1` (present), `0` (absent), `u` (uncertain) or an empty cell;
            last `remark`: `ok`, or why the text could not be read, in which case all cells are empty.
        hedged: what an uncertain mention counts as: `keep` writes `u`, the others decide.
        sections: CSV to write: `id` and the text of each section, or None.
        triples: CSV to write: `id, finding, place, assertion`, one row a mention and place, or None.

    Yields:
        The id of each report after it was written.
    """
    with ExitStack() as files:

        def table(path: str | Path, columns: Iterable[str]) -> Any:
            writer = csv.writer(files.enter_context(Path(path).open("w", encoding="utf-8", newline="")))
            writer.writerow(["id", *columns])
            return writer

        label_table = table(labels, (*space.labels, "remark"))
        section_table = table(sections, SECTIONS) if sections else None
        triple_table = table(triples, ("finding", "place", "assertion")) if triples else None
        for name, text in reports:
            report = parse_report(text, study=name)
            states = study_labels(report, space, hedged)
            label_table.writerow([name, *(states[finding].cell for finding in space.findings), report_remark(report)])
            if section_table:
                section_table.writerow([name, *(report.section(section) for section in SECTIONS)])
            if triple_table:
                triple_table.writerows((name, *triple) for triple in report_triples(report))
            yield name
