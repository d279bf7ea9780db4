"""Retrieval on a split: does an image find its own report, and do the reports of others that it finds say the same?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.store import Store
from medvlp.evaluation.model_outputs import ModelOutputs
from medvlp.evaluation.protocol import Protocol
from medvlp.evaluation.result import Result
from medvlp.evaluation.task import EvaluationTask, TaskOptions, register
from medvlp.metrics import (
    Estimate,
    bootstrap_by_patient,
    finding_overlap,
    image_mean,
    precision_at_k,
    recall_at_k,
)
from medvlp.reports.states import FindingState
from medvlp.tasks.admission import TaskError
from medvlp.tasks.build_index import rows_with_report
from medvlp.tasks.embed import embed_rows, embed_texts, require_text
from medvlp.tasks.inference import Progress, batches_of
from medvlp.tasks.model import Model
from medvlp.training.model_folder import TrainedModel, check_preprocessing

DEPTHS = (1, 5, 10)
_QUERIES = 512  # rows of the similarity matrix held at once


@dataclass(frozen=True, eq=False, kw_only=True)
class RetrievalResult(Result):
    """Recall of the own report or image, and precision by finding set among other patients.

    Attributes:
        figures: `image_to_report_recall@k`, `report_to_image_recall@k`, `finding_precision@k`, and
            `finding_precision_chance`, what a random order reaches.
        images: one row an image as a query: `image_id, patient_id`, and its part of the figures that begin with an
            image.
    """

    task: str = "retrieval"
    figures: dict[str, Estimate]
    images: pd.DataFrame

    def figures_by_name(self) -> dict[str, Any]:
        return {"figures": self.figures}

    def summary(self) -> tuple[list[str], list[list[Any]]]:
        return ["figure", "value"], [[name, estimate] for name, estimate in self.figures.items()]

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"images.csv": self.images}


@register("retrieval")
class RetrievalTask(EvaluationTask):
    """Recall of the own report and image, and precision by finding set, against chance."""

    unused = ("labels", "unmentioned")

    def evaluate(
        self, model: Model, store: Store, protocol: Protocol, options: TaskOptions, progress: Progress | None = None
    ) -> RetrievalResult:
        return evaluate_retrieval(model.pretrained, store, protocol, options, progress=progress)


def evaluate_retrieval(
    model: TrainedModel,
    store: Store,
    protocol: Protocol | None = None,
    options: TaskOptions | None = None,
    *,
    progress: Progress | None = None,
    outputs: ModelOutputs | None = None,
) -> RetrievalResult:
    """Compare all images of a split with all its distinct reports.

    Identical reports are one item, since no model can tell them apart. Precision leaves out the reports that only
    the query's patient has, and grades the others by the overlap (Jaccard) of their present findings with the query's.
    `outputs` of these rows, where they are there already, are taken instead of running the model on the images.

    Raises:
        TaskError: the method reads no text, no image has a report, or the store was prepared otherwise.
    """
    protocol = protocol or Protocol()
    require_text(model)
    check_preprocessing(store, model.preprocess)
    names = protocol.findings_or(model.findings)
    rows, numbers, texts = rows_with_report(store, protocol.rows(store))
    if not len(rows):
        raise TaskError(f"no image of {store.path} in the split {protocol.split!r} has a report")
    distinct, own = np.unique(numbers, return_inverse=True)
    patients = store.table["patient_id"].to_numpy(object)[rows]
    if outputs is None or outputs.vectors is None:
        images = embed_rows(model, store, rows, progress, (options or TaskOptions()).batch_size)
    else:
        images = outputs.vectors[outputs.at(rows)]
    reports = embed_texts(model, texts[distinct].tolist())
    present = store.states(names)[rows] == FindingState.PRESENT
    reported = store.report_states(names)[distinct] == FindingState.PRESENT
    found = _by_image(images, reports, own, patients, finding_overlap(present, reported))
    back = _by_report(images, reports, own)
    first = np.array([patients[np.argmax(own == r)] for r in range(len(distinct))], dtype=object)
    draws = protocol.draws
    figures = {name: bootstrap_by_patient(image_mean, patients, values, **draws) for name, values in found.items()}
    figures |= {name: bootstrap_by_patient(image_mean, first, values, **draws) for name, values in back.items()}
    record = protocol.record(store, rows, reports=len(distinct), findings=list(names))
    ids = {"image_id": store.table["image_id"].to_numpy(object)[rows], "patient_id": patients}
    return RetrievalResult(figures=figures, images=pd.DataFrame(ids | found), protocol=record, notice=model.notice)


def _by_image(
    images: NDArray[np.float32],
    reports: NDArray[np.float32],
    own: NDArray[np.integer],
    patients: NDArray[np.object_],
    overlap: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Figures of each image as a query, `[N]` each."""
    codes = np.unique(patients, return_inverse=True)[1]
    belongs = np.zeros((codes.max() + 1, len(reports)), bool)  # patient x report
    belongs[codes, own] = True
    belongs[:, belongs.sum(axis=0) > 1] = False  # another patient has the same words
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for chosen in batches_of(range(len(images)), _QUERIES):
        similarity = (images[chosen] @ reports.T).astype(np.float64)
        mine = own[chosen, None] == np.arange(len(reports))
        others = np.where(belongs[codes[chosen]], -np.inf, similarity)
        for k in DEPTHS:
            parts.setdefault(f"image_to_report_recall@{k}", []).append(recall_at_k(similarity, mine, k))
            parts.setdefault(f"finding_precision@{k}", []).append(precision_at_k(others, overlap[chosen], k))
        chance = precision_at_k(np.where(np.isneginf(others), -np.inf, 0.0), overlap[chosen], 1)
        parts.setdefault("finding_precision_chance", []).append(chance)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _by_report(
    images: NDArray[np.float32], reports: NDArray[np.float32], own: NDArray[np.integer]
) -> dict[str, NDArray[np.float64]]:
    """Figures of each report as a query, `[R]` each."""
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for chosen in batches_of(range(len(reports)), _QUERIES):
        similarity = reports[chosen] @ images.T
        mine = np.asarray(chosen)[:, None] == own
        for k in DEPTHS:
            parts.setdefault(f"report_to_image_recall@{k}", []).append(recall_at_k(similarity, mine, k))
    return {name: np.concatenate(values) for name, values in parts.items()}
