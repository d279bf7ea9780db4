"""Reading the tables that data sets come with: as text, with their columns checked by name, never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.knowledge import LabelSpace
from medvlp.reports.states import FindingState


def read_table(root: Path, names: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """The first of some files that is there, every cell as text ("" where empty).

    Args:
        root: folder to look in.
        names: file names in the order of preference; glob patterns may be used.
        columns: what the table must have; others are kept too.

    Raises:
        FileNotFoundError: none of the files is there.
        ValueError: a column is missing; names it and the columns that are there.
    """
    path = find_file(root, names)
    table = pd.read_csv(path, dtype=str, keep_default_na=False, low_memory=False)
    missing = [c for c in columns if c not in table]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(map(repr, missing))}; it has {', '.join(table.columns)}")
    return table


def find_file(root: Path, names: Sequence[str]) -> Path:
    """The first of some files or folders below `root`; names may be glob patterns.

    Raises:
        FileNotFoundError: none is there; names all.
    """
    for name in names:
        found = sorted(root.glob(name))
        if found:
            return found[0]
    raise FileNotFoundError(
        f"{root} holds none of {', '.join(names)}; is it the folder that the data set was unpacked in?"
    )


def coded_states(cells: pd.DataFrame, space: LabelSpace, codes: Mapping[str, FindingState]) -> dict[str, np.ndarray]:
    """Label columns in a data set's own spelling and codes -> finding id -> int8 states.

    Args:
        cells: text cells; has the label space's columns (a label that this release lacks is left out).
        space: the data set's label space.
        codes: every value that a cell may have, such as `{"-1.0": UNCERTAIN, "": UNMENTIONED}`.

    Raises:
        ValueError: a cell has another value; names row, column and value.
    """
    states = {}
    for label, finding in zip(space.labels, space.findings, strict=True):
        if label not in cells:
            continue
        values = cells[label].map(codes)
        wrong = np.flatnonzero(values.isna().to_numpy())
        if len(wrong):
            value = cells[label].iloc[wrong[0]]
            raise ValueError(
                f"row {wrong[0] + 1}, column {label!r}: {value!r} is none of {', '.join(map(repr, codes))}"
            )
        states[finding] = values.to_numpy(np.int8)
    return states
