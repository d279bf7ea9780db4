"""The columns that a manifest may have, and the checks that name the row, the column and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from medvlp.errors import did_you_mean
from medvlp.reports.states import FindingState

IDS = ("patient_id", "study_id", "image_id")
SPLITS = ("train", "validate", "test")
REQUIRED = (*IDS, "path")
TEXTS = (*REQUIRED, "view", "modality", "split", "report", "source", "boxes", "sex", "laterality", "age_band")
NUMBERS = ("age", "frame")
PREFIXES = ("mask_", "section_")  # mask_lungs: a mask's file; section_findings: a section's text
SHOWN = 5  # problems of one kind that an error lists before it counts the rest


def known_findings() -> tuple[str, ...]:
    """Ids of all findings of the knowledge base."""
    from medvlp.knowledge import load_findings

    return tuple(load_findings())


def label_columns(columns: Iterable[str]) -> list[str]:
    """The columns that are none of the manifest's own: each must be the id of a finding."""
    return [c for c in columns if c not in TEXTS and c not in NUMBERS and not c.startswith(PREFIXES)]


def unknown_columns(columns: Sequence[str]) -> list[str]:
    """One message for each column that is neither the manifest's nor a finding."""
    labels = label_columns(columns)
    findings = known_findings() if labels else ()
    candidates = [*TEXTS, *NUMBERS, *findings]
    problems = []
    for column in labels:
        if column in findings:
            continue
        hint = did_you_mean(column, candidates, show=0)
        hint = hint if hint.startswith("did you") else "rename it to a finding's id, or drop it"
        problems.append(f"column {column!r} is neither a column of a manifest nor a known finding; {hint}")
    return problems


def missing_columns(columns: Iterable[str]) -> list[str]:
    """One message for each required column that is not there."""
    present = set(columns)
    return [
        f"column {c!r} is missing; a manifest needs {', '.join(REQUIRED)}, one row an image"
        for c in REQUIRED
        if c not in present
    ]


def empty_cells(table: pd.DataFrame) -> list[str]:
    """Rows whose patient, study, image or path is empty."""
    problems = []
    for column in REQUIRED:
        rows = np.flatnonzero((table[column] == "").to_numpy())
        problems += listed([f"row {r + 1}, column {column!r}: empty; every image needs one" for r in rows])
    return problems


def duplicate_images(table: pd.DataFrame) -> list[str]:
    """Rows that repeat an image id."""
    ids = table["image_id"]
    rows = np.flatnonzero((ids.duplicated() & (ids != "")).to_numpy())
    first = {image: i for i, image in reversed(list(enumerate(ids)))} if len(rows) else {}
    return listed(
        [
            f"row {r + 1}, column 'image_id': {ids.iloc[r]!r} is already row {first[ids.iloc[r]] + 1};"
            " give each image its own id (for frames of one file add the frame to the id)"
            for r in rows
        ]
    )


def bad_splits(table: pd.DataFrame) -> list[str]:
    """Rows of an unknown split, and patients who stand in two."""
    split = table["split"]
    rows = np.flatnonzero(~split.isin(SPLITS).to_numpy())
    problems = listed([f"row {r + 1}, column 'split': {split.iloc[r]!r} is none of {', '.join(SPLITS)}" for r in rows])
    pairs = table[["patient_id", "split"]].drop_duplicates()
    twice = pairs[pairs["patient_id"].duplicated(keep=False)].groupby("patient_id")["split"].agg(sorted)
    for patient, splits in twice.head(SHOWN).items():
        row = int(np.flatnonzero((table["patient_id"] == patient).to_numpy())[0]) + 1
        problems.append(
            f"row {row}, column 'split': patient {patient!r} stands in {' and '.join(splits)}; "
            "put all images of a patient in one split, or drop the column to have splits made by patient"
        )
    if len(twice) > SHOWN:
        problems.append(f"... and {len(twice) - SHOWN} more patients in two splits")
    return problems


def studies_of_two_patients(table: pd.DataFrame) -> list[str]:
    """Study ids that two patients share."""
    pairs = table[["patient_id", "study_id"]].drop_duplicates()
    twice = pairs[pairs["study_id"].duplicated() & (pairs["study_id"] != "")]
    return listed(
        [
            f"row {i + 1}, column 'study_id': {s!r} also belongs to another patient; "
            "make study ids unique, for example patient_study"
            for i, s in zip(twice.index, twice["study_id"], strict=True)
        ]
    )


def bad_boxes(table: pd.DataFrame) -> list[str]:
    """Rows whose boxes are not a JSON list of `{"finding": id, "box": [x0, y0, x1, y1]}` in pixels of the file."""
    if "boxes" not in table:
        return []
    problems = []
    for r in np.flatnonzero((table["boxes"] != "").to_numpy()):
        try:
            for item in json.loads(table["boxes"].iloc[r]):
                x0, y0, x1, y1 = map(float, item["box"])
                if not (x0 < x1 and y0 < y1 and item["finding"]):
                    raise ValueError
        except (ValueError, TypeError, KeyError):
            problems.append(
                f"row {r + 1}, column 'boxes': not a JSON list of "
                '{"finding": id, "box": [x0, y0, x1, y1]} with x0 < x1 and y0 < y1'
            )
    return listed(problems)


def read_states(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """One label column -> its int8 codes and what is wrong with it.

    An int8 column holds codes of `FindingState` already; any other is read cell by cell (`1 | 0 | u | empty`), each
    distinct value once.
    """
    if column.dtype == np.int8:
        bad_codes = ~column.isin([int(s) for s in FindingState]).to_numpy()
        wrong = [
            f"row {r + 1}, column {column.name!r}: code {column.iloc[r]} is none of {[int(s) for s in FindingState]}"
            for r in np.flatnonzero(bad_codes)
        ]
        return column.to_numpy(), listed(wrong)
    codes, values = pd.factorize(column, use_na_sentinel=False)
    states = np.full(len(values), FindingState.UNMENTIONED, np.int8)
    reasons: dict[int, str] = {}
    for i, value in enumerate(values):
        try:
            states[i] = FindingState.from_cell(None if pd.isna(value) else value)
        except ValueError as error:
            reasons[i] = str(error)
    rows = np.flatnonzero(np.isin(codes, list(reasons)))
    problems = listed([f"row {r + 1}, column {column.name!r}: {reasons[codes[r]]}" for r in rows])
    return states[codes], problems


def listed(problems: list[str]) -> list[str]:
    """The first few problems of one kind and a count of the others."""
    rest = len(problems) - SHOWN
    return problems if rest <= 0 else [*problems[:SHOWN], f"... and {rest} more rows like these"]
