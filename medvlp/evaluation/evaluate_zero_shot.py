"""Zero-shot labels against known ones on a split of a store; what counts as known is written down with the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.store import Store
from medvlp.evaluation.known_labels import states_from_file
from medvlp.evaluation.row_outputs import RowOutputs
from medvlp.evaluation.scored_split import ScoredSplit
from medvlp.evaluation.zero_shot_result import ZeroShotResult, zero_shot_result
from medvlp.tasks.errors import TaskError
from medvlp.tasks.inference import Progress, check_preprocessing, run_rows
from medvlp.training.model_folder import TrainedModel


def evaluate_zero_shot(
    model: TrainedModel,
    store: Store,
    *,
    split: str = "test",
    source: str | None = None,
    findings: Sequence[str] | None = None,
    views: Sequence[str] | None = None,
    labels: str | Path | None = None,
    unmentioned: Literal["ignore", "negative"] = "ignore",
    batch_size: int = 64,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> ZeroShotResult:
    """Score a split and compare with its labels.

    Only rows whose label is present or absent count for a finding; uncertain ones never do.

    Args:
        model, store: prepared alike, or the store is refused.
        split: `train | validate | test`.
        source: only rows of this data set, in a store of several.
        findings: ids; None takes those of the model.
        views: only these views.
        labels: a CSV with `image_id` and a column a finding (1, 0, u or empty) instead of the store's own labels.
        unmentioned: `negative` takes a finding that nobody mentions for absent. That is how sets labelled from reports
            are often scored, and it counts what a report left out as a mistake of the model.
        batch_size: images in one pass.
        resamples, seed: of the bootstrap over patients.
        progress: called with images done and images in all.

    Raises:
        TaskError: the split is empty, the store was prepared otherwise, or no finding has a positive and a negative.
        KeyError: a finding that nobody knows, or that the method cannot score.
    """
    asked: dict[str, Any] = {"split": split, "source": source, "findings": findings, "views": views, "labels": labels}
    scored = score_split(model, store, **asked, unmentioned=unmentioned, batch_size=batch_size, progress=progress)
    return zero_shot_result(scored, resamples, seed)


def labelled_rows(
    store: Store,
    findings: Sequence[str],
    *,
    split: str = "test",
    source: str | None = None,
    views: Sequence[str] | None = None,
    labels: str | Path | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """The rows `[N]` that are measured, and their states `[N, F]`; arguments as `evaluate_zero_shot`.

    Raises:
        TaskError: no rows, or a table of labels that does not fit them.
    """
    rows = store.rows(split, views)
    if source is not None:
        rows = rows[(store.table["source"].iloc[rows] == source).to_numpy()]
    if not len(rows):
        kinds = " ".join([*(views or ()), *([source] if source else []), "images"])
        raise TaskError(f"{store.path} has no {kinds} in the split {split!r}")
    return rows, store.states(findings)[rows] if labels is None else states_from_file(labels, store, rows, findings)


def score_split(
    model: TrainedModel,
    store: Store,
    *,
    split: str = "test",
    source: str | None = None,
    findings: Sequence[str] | None = None,
    views: Sequence[str] | None = None,
    labels: str | Path | None = None,
    unmentioned: Literal["ignore", "negative"] = "ignore",
    batch_size: int = 64,
    progress: Progress | None = None,
    outputs: RowOutputs | None = None,
) -> ScoredSplit:
    """The scores of `evaluate_zero_shot` without figures; arguments and errors as there.

    `outputs` of these rows and findings, where they are there already, are taken instead of running the model.
    """
    check_preprocessing(store, model.preprocess)
    names = tuple(findings) if findings is not None else model.findings
    rows, states = labelled_rows(store, names, split=split, source=source, views=views, labels=labels)

    def score(images: Tensor) -> Tensor:
        return model.method.score(images, names)

    if outputs is None:
        scores = run_rows(score, store, rows, model.device, batch_size, progress)
    else:
        scores = outputs.scores[outputs.at(rows)]
    protocol = {
        "store": store.hash,
        "split": split,
        "source": source,
        "views": list(views) if views else None,
        "images": len(rows),
        "patients": int(store.table["patient_id"].iloc[rows].nunique()),
        "labels": "store" if labels is None else Path(labels).name,
        "unmentioned": unmentioned,
        "uncertain": "ignore",
        "method": model.card.get("method"),
    }
    table = store.table.iloc[rows]
    return ScoredSplit(
        names=names,
        image_ids=table["image_id"].to_numpy(object),
        patient_ids=table["patient_id"].to_numpy(object),
        scores=scores,
        states=states,
        protocol=protocol,
        notice=model.notice,
    )
