"""`Protocol`: all that decides a figure beside the model: which images, which labels, how many resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medvlp.data.manifest_columns import SPLITS
from medvlp.data.store import Store
from medvlp.errors import did_you_mean
from medvlp.reports.states import FindingState
from medvlp.tasks.admission import TaskError

Unmentioned = Literal["ignore", "negative"]


@dataclass(frozen=True)
class Protocol:
    """One value that every evaluation takes, so that two figures with the same protocol can be compared.

    Uncertain findings never count.

    Attributes:
        split: `train | validate | test`.
        source: only images of this data set, in a store of several.
        views: only these views, such as `("PA", "AP")`.
        findings: knowledge ids; None takes those of the model.
        labels: a CSV with `image_id` and a column a finding (1, 0, u or empty) instead of the store's own labels.
        unmentioned: `negative` takes a finding that nobody mentions for absent. That is how sets labeled from reports
            are often scored, and it counts what a report left out as a mistake of the model.
        resamples, seed: of the bootstrap over patients.

    Raises:
        TaskError: a split or a meaning of `unmentioned` that does not exist, or no resample.

    Examples:
        >>> Protocol(views=["PA"], resamples=200).draws
        {'n': 200, 'seed': 0}
        >>> Protocol(split="testing")
        Traceback (most recent call last):
        ...
        medvlp.tasks.admission.TaskError: no split "testing"; did you mean "test" or "train"?
    """

    split: str = "test"
    source: str | None = None
    views: Sequence[str] | None = None
    findings: Sequence[str] | None = None
    labels: str | Path | None = None
    unmentioned: Unmentioned = "ignore"
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("views", "findings"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))
        for name, given, valid in (
            ("split", self.split, SPLITS),
            ("meaning of `unmentioned`", self.unmentioned, get_args(Unmentioned)),
        ):
            if given not in valid:
                raise TaskError(f'no {name} "{given}"; {did_you_mean(given, valid)}')
        if self.resamples < 1:
            raise TaskError(f"resamples is {self.resamples}; an interval needs at least one")

    @property
    def draws(self) -> dict[str, int]:
        """`n` and `seed`, as the functions of `medvlp.metrics` take them."""
        return {"n": self.resamples, "seed": self.seed}

    def rows(self, store: Store) -> NDArray[np.int64]:
        """The store's rows `[N]` of this split, source and views, ascending.

        Raises:
            StoreError: the split has images, and none of these views; says which it has.
            TaskError: there is no image of this split, or of this source.
        """
        rows = store.rows(self.split, self.views)
        if self.source is not None:
            rows = rows[(store.table["source"].iloc[rows] == self.source).to_numpy()]
        if not len(rows):
            kinds = " ".join([*(self.views or ()), *([self.source] if self.source else []), "images"])
            raise TaskError(f"{store.path} has no {kinds} in the split {self.split!r}")
        return rows

    def findings_or(self, trained: Sequence[str]) -> tuple[str, ...]:
        """The findings that are measured, where the model was trained on these."""
        return tuple(trained if self.findings is None else self.findings)

    def binary(self, states: NDArray[np.integer]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """States of any shape, in the codes of `FindingState` -> which are present, and which count: present or absent
        ones, and the unmentioned ones where they count as negative.

        Examples:
            >>> Protocol(unmentioned="negative").binary(np.array([1, 0, 2, -1]))
            (array([ True, False, False, False]), array([ True,  True, False,  True]))
        """
        present = states == FindingState.PRESENT
        known = present | (states == FindingState.ABSENT)
        if self.unmentioned == "negative":
            known |= states == FindingState.UNMENTIONED
        return present, known

    def changed(self) -> set[str]:
        """Names of the fields that are not at their default."""
        return {field.name for field in fields(self) if getattr(self, field.name) != field.default}

    def record(self, store: Store, rows: NDArray[np.integer], **more: Any) -> dict[str, Any]:
        """What a result keeps: plain values of this protocol, the store's hash, how many images and patients, and
        whatever else decides the figures."""
        return {
            "store": store.hash,
            "split": self.split,
            "source": self.source,
            "views": None if self.views is None else list(self.views),
            "images": len(rows),
            "patients": int(store.table["patient_id"].iloc[rows].nunique()),
            "labels": "store" if self.labels is None else Path(self.labels).name,
            "unmentioned": self.unmentioned,
            "uncertain": "ignore",
            "resamples": self.resamples,
            "seed": self.seed,
            **more,
        }
