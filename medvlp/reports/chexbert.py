"""`read_chexbert`: the label tables of CheXbert, CheXpert and NegBio as reports with mentions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from medvlp.io.tables import open_rows
from medvlp.reports.report import Assertion, Mention, Report, Section, Sentence

# The columns that all three write, and the findings they mean.
_COLUMNS = {
    "Enlarged Cardiomediastinum": "enlarged_cardiomediastinum",
    "Cardiomegaly": "cardiomegaly",
    "Lung Lesion": "lung_lesion",
    "Lung Opacity": "lung_opacity",
    "Airspace Opacity": "lung_opacity",
    "Edema": "edema",
    "Consolidation": "consolidation",
    "Pneumonia": "pneumonia",
    "Atelectasis": "atelectasis",
    "Pneumothorax": "pneumothorax",
    "Pleural Effusion": "pleural_effusion",
    "Pleural Other": "pleural_other",
    "Fracture": "fracture",
    "Support Devices": "support_devices",
}
_CELLS: dict[str, Assertion] = {"1.0": "present", "1": "present", "0.0": "absent", "0": "absent"}
_CELLS |= {"-1.0": "uncertain", "-1": "uncertain"}


def read_chexbert(path: str | Path) -> Iterator[tuple[str, Report]]:
    """Each row of a label table: its id and a report with one mention for each cell that is not blank.

    The id is `study_id` where there is such a column, else the number of the row, from 0. The text is that of
    `Report Impression` or `Reports`, empty where the table has neither; a mention spans the whole of it, because the
    table does not say which words it rests on. "No Finding" follows from the others and is not a mention.

    Raises:
        ValueError: no label column, or a cell that is none of 1, 0, -1 and blank.
    """
    with open_rows(path) as rows:
        columns = [name for name in rows.columns if name in _COLUMNS]
        if not columns:
            raise ValueError(f"{path}: none of the columns {', '.join(_COLUMNS)}")
        for number, cells in rows:
            row = dict(zip(rows.columns, cells, strict=True))
            text = row.get("Report Impression") or row.get("Reports") or ""
            mentions = [
                Mention(_COLUMNS[name], _assertion(path, number, name, row[name]), 0, len(text), 0)
                for name in columns
                if row[name]
            ]
            parts = (Section("impression", 0, len(text)),), (Sentence(0, len(text), "impression"),)
            yield row.get("study_id") or str(number - 1), Report(text, *parts, tuple(mentions))


def _assertion(path: str | Path, number: int, name: str, cell: str) -> Assertion:
    if cell not in _CELLS:
        raise ValueError(f"{path}, row {number}, {name}: {cell!r} is none of 1, 0, -1 and blank")
    return _CELLS[cell]
