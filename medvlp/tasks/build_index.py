"""Make a `ReportIndex`: of a store, whose images come along, or of a table of reports alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.report_table import DEFAULT_SECTIONS, select_sentences
from medvlp.data.store import Store
from medvlp.knowledge import load_findings
from medvlp.reports import parse_report
from medvlp.reports.states import FindingState
from medvlp.tasks.admission import TaskError
from medvlp.tasks.embed import embed_rows, embed_texts
from medvlp.tasks.inference import Progress
from medvlp.tasks.report_index import ReportIndex, weights_hash
from medvlp.training.model_folder import GENERATED_NOTICE, TrainedModel, check_preprocessing

if TYPE_CHECKING:
    import faiss


def index_store(
    model: TrainedModel,
    folder: str | Path,
    store: Store,
    *,
    split: str | None = None,
    views: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> ReportIndex:
    """Index the images of a store that have a report, and their distinct reports.

    Args:
        model, folder: the model and where it was loaded from.
        store: prepared as the model's training images.
        split, views: only these; a model is tried honestly on an index of `train` with queries of other patients.
        progress: called with images done and images in all.

    Raises:
        TaskError: no image has a report, or the store was prepared otherwise.
    """
    check_preprocessing(store, model.preprocess)
    rows, numbers, texts = rows_with_report(store, store.rows(split, views))
    if not len(rows):
        raise TaskError(f"no image of {store.path} has a report to index")
    distinct, first, own = np.unique(numbers, return_index=True, return_inverse=True)
    studies = store.table["study_id"].to_numpy(object)[rows]
    findings = tuple(load_findings())
    present = store.report_states(findings)[distinct] == FindingState.PRESENT
    reports = pd.DataFrame(
        {
            "report_id": studies[first],
            "findings": [" ".join(np.array(findings, dtype=object)[p]) for p in present],
            "report": texts[distinct],
        }
    )
    images = (
        store.table.iloc[rows][["image_id", "study_id"]].reset_index(drop=True).assign(report_id=studies[first][own])
    )
    vectors = embed_rows(model, store, rows, progress)
    card = {"store": store.hash, "split": split, "generated": store.generated or model.generated}
    return _index(model, folder, reports, images, vectors, card)


def index_table(
    model: TrainedModel, folder: str | Path, table: pd.DataFrame, progress: Progress | None = None
) -> tuple[ReportIndex, int]:
    """Index a table of reports: column `report`, and optionally `report_id`.

    Returns:
        The index, and how many rows were left out because they hold no text.

    Raises:
        TaskError: no column `report`, or no row with text.
    """
    if "report" not in table:
        raise TaskError(f"the table has no column 'report'; it has {', '.join(map(str, table.columns))}")
    ids = table["report_id"].astype(str) if "report_id" in table else pd.Series(range(len(table))).astype(str)
    rows = []
    for report_id, text in zip(ids, table["report"].fillna("").astype(str), strict=True):
        report = parse_report(text)
        headed = any(s.section in DEFAULT_SECTIONS for s in report.sentences)
        read = [report.words(s) for s in report.sentences if not headed or s.section in DEFAULT_SECTIONS]
        if read:
            present = dict.fromkeys(m.finding for m in report.mentions if m.assertion == "present")
            rows.append((report_id, " ".join(present), " ".join(" ".join(read).split())))
    if not rows:
        raise TaskError("no row of the table holds a report")
    reports = pd.DataFrame(rows, columns=["report_id", "findings", "report"])
    images = pd.DataFrame({"image_id": [], "study_id": [], "report_id": []}, dtype=str)
    card = {"store": None, "split": None, "generated": model.generated}
    return _index(model, folder, reports, images, None, card, progress), len(table) - len(rows)


def _index(
    model: TrainedModel,
    folder: str | Path,
    reports: pd.DataFrame,
    images: pd.DataFrame,
    image_vectors: NDArray[np.float32] | None,
    card: dict[str, Any],
    progress: Progress | None = None,
) -> ReportIndex:
    report_vectors = embed_texts(model, reports["report"].tolist(), progress=progress)
    if image_vectors is None:
        image_vectors = np.empty((0, report_vectors.shape[1]), np.float32)
    card |= {
        "model": str(Path(folder).resolve()),
        "weights": weights_hash(folder),
        "notice": GENERATED_NOTICE if card["generated"] else None,
        "reports": len(reports),
        "images": len(images),
    }
    return ReportIndex(reports, images, _flat(report_vectors), _flat(image_vectors), card)


def _flat(vectors: NDArray[np.float32]) -> faiss.Index:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


def rows_with_report(
    store: Store, rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.object_]]:
    """Those of some rows that have a readable report.

    Returns:
        Rows `[N]`; the number of each one's report `[N]`; the text of every report of the store `[R]`.
    """
    numbers = store.table["report"].to_numpy()[rows]
    rows, numbers = rows[numbers >= 0], numbers[numbers >= 0]
    texts = np.array(select_sentences(store.reports).texts(len(store.reports)), dtype=object)
    readable = texts[numbers] != ""
    return rows[readable], numbers[readable], texts
