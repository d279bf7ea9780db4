"""`LabelScores`: a model's scores on a split beside what is known of each image; figures of it are made from this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.manifest_columns import read_states
from medvlp.data.store import Store
from medvlp.evaluation.protocol import Protocol
from medvlp.io.tables import read_table
from medvlp.reports.states import FindingState
from medvlp.tasks.admission import TaskError


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelScores:
    """Scores and labels.

    Attributes:
        names: the F findings asked for.
        image_ids, patient_ids: `[N]`.
        scores: float32 `[N, F]`; states: int8 `[N, F]` in the codes of `FindingState`.
        protocol: everything that decides them beside the model; `unmentioned` says what such a state counts as.
        notice: what must stand on it, of a model trained on generated data, or None.
    """

    names: tuple[str, ...]
    image_ids: NDArray[np.object_]
    patient_ids: NDArray[np.object_]
    scores: NDArray[np.float32]
    states: NDArray[np.int8]
    protocol: dict[str, Any]
    notice: str | None

    @classmethod
    def of_rows(
        cls,
        store: Store,
        rows: NDArray[np.integer],
        names: Sequence[str],
        scores: NDArray[np.float32],
        states: NDArray[np.int8],
        protocol: dict[str, Any],
        notice: str | None = None,
    ) -> LabelScores:
        """Of rows `[N]` of a store: their ids, beside scores and states `[N, F]`."""
        table = store.table.iloc[rows]
        return cls(
            names=tuple(names),
            image_ids=table["image_id"].to_numpy(object),
            patient_ids=table["patient_id"].to_numpy(object),
            scores=scores,
            states=states,
            protocol=protocol,
            notice=notice,
        )

    @property
    def truth(self) -> NDArray[np.bool_]:
        """`[N, F]`, the cells that are present."""
        return self._protocol.binary(self.states)[0]

    @property
    def known(self) -> NDArray[np.bool_]:
        """`[N, F]`, the cells that count: present or absent, and the unmentioned ones where they count as negative."""
        return self._protocol.binary(self.states)[1]

    @property
    def _protocol(self) -> Protocol:
        return Protocol(unmentioned=self.protocol["unmentioned"])

    def one_sided(self) -> dict[str, str]:
        """The findings without a positive or a negative -> their counts.

        Raises:
            TaskError: that is all of them.
        """
        positives, known = (self.known & self.truth).sum(0), self.known.sum(0)
        found = {
            name: f"{p} positives and {k - p} negatives are known"
            for name, p, k in zip(self.names, positives.tolist(), known.tolist(), strict=True)
            if p in (0, k)
        }
        if len(found) == len(self.names):
            raise TaskError(
                "no finding has both a positive and a negative among these labels; take another split, give `labels`, "
                "or count unmentioned findings as negative"
            )
        return found

    def table(self) -> pd.DataFrame:
        """One row an image: its ids, and the score and label of each finding."""
        cells: dict[str, Any] = {"image_id": self.image_ids, "patient_id": self.patient_ids}
        for f, name in enumerate(self.names):
            cells[name] = self.scores[:, f]
            cells[f"{name}_label"] = [FindingState(state).cell for state in self.states[:, f]]
        return pd.DataFrame(cells)

    @classmethod
    def from_table(cls, table: pd.DataFrame, protocol: dict[str, Any], notice: str | None) -> LabelScores:
        """The inverse of `table`, read back from a CSV with `dtype=str` and `keep_default_na=False`.

        Raises:
            TaskError: a label is none of the four states.
        """
        names = tuple(c for c in table if f"{c}_label" in table)
        states = np.empty((len(table), len(names)), np.int8)
        for f, name in enumerate(names):
            states[:, f], problems = read_states(table[f"{name}_label"])
            if problems:
                raise TaskError("; ".join(problems))
        return cls(
            names=names,
            image_ids=table["image_id"].to_numpy(object),
            patient_ids=table["patient_id"].to_numpy(object),
            scores=table[list(names)].to_numpy(np.float32),
            states=states,
            protocol=protocol,
            notice=notice,
        )


def check_comparable(first: LabelScores, second: LabelScores) -> None:
    """Refuse to compare what was measured on different patients or labels; findings that only one has do not matter.

    Raises:
        TaskError: says which of them differ.
    """
    if not np.array_equal(first.image_ids, second.image_ids):
        raise TaskError("the two results are of different images; evaluate both on the same split and views")
    shared = [name for name in first.names if name in second.names]
    a, b = ([r.names.index(name) for name in shared] for r in (first, second))
    same_known = np.array_equal(first.known[:, a], second.known[:, b])
    if not (same_known and np.array_equal(first.truth[:, a], second.truth[:, b])):
        raise TaskError(
            "the two results are of different labels; evaluate both with the same `labels` and `unmentioned`"
        )


def read_label_states(
    path: str | Path, store: Store, rows: NDArray[np.integer], findings: Sequence[str]
) -> NDArray[np.int8]:
    """Read a CSV with `image_id` and a column a finding (`1 | 0 | u | empty`, as in a manifest).

    Returns:
        int8 `[len(rows), F]` in the codes of `FindingState`; unmentioned where the table has no such row or column.

    Raises:
        TableError: no table, or no `image_id`.
        TaskError: two rows of one image, a cell that is none of the four states, or nothing that fits.
    """
    table = read_table(path, ["image_id"])
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
