"""Labels from a table of one's own, in the order of a store's rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.manifest_columns import read_states
from medvlp.data.store import Store
from medvlp.reports.states import FindingState
from medvlp.tasks.errors import TaskError


def states_from_file(
    path: str | Path, store: Store, rows: NDArray[np.integer], findings: Sequence[str]
) -> NDArray[np.int8]:
    """Read a CSV with `image_id` and a column a finding (`1 | 0 | u | empty`, as in a manifest).

    Returns:
        int8 `[len(rows), F]` in the codes of `FindingState`; unmentioned where the table has no such row or column.

    Raises:
        TaskError: no `image_id`, two rows of one image, a cell that is none of the four states, or nothing that fits.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if "image_id" not in table:
        raise TaskError(f"{path}: no column 'image_id'; it has {', '.join(table.columns[:8])}")
    if table["image_id"].duplicated().any():
        twice = table["image_id"][table["image_id"].duplicated()].iloc[0]
        raise TaskError(f"{path}: image {twice!r} has more than one row")
    columns = [f for f in findings if f in table]
    at = pd.Index(table["image_id"]).get_indexer(store.table["image_id"].iloc[rows])
    if not columns or (at < 0).all():
        raise TaskError(f"{path}: no row or no column of it belongs to these images and findings")
    states = np.full((len(rows), len(findings)), FindingState.UNMENTIONED, np.int8)
    for name in columns:
        column, problems = read_states(table[name])
        if problems:
            raise TaskError(f"{path}: " + "; ".join(problems))
        states[at >= 0, list(findings).index(name)] = column[at[at >= 0]]
    return states
