"""`MeasuredRun`: all that a comparison keeps of one training run, measured once and read back from its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medvlp.data.store import Store
from medvlp.evaluation.grounding import boxed_rows, evaluate_grounding
from medvlp.evaluation.label import score_labels
from medvlp.evaluation.label_scores import LabelScores
from medvlp.evaluation.model_outputs import predict_rows
from medvlp.evaluation.retrieval import evaluate_retrieval
from medvlp.io.atomic_write import atomic_folder
from medvlp.knowledge import name_of
from medvlp.training.model_folder import TrainedModel, with_notice

_CARD, _SCORES, _RETRIEVAL, _GROUNDING = "run.json", "scores.csv", "retrieval.csv", "grounding.csv"


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """One run of one method.

    Attributes:
        scored: its scores on the held-out patients.
        retrieval: one row an image, `image_id, patient_id, finding_precision@5, ...`; None where the method reads no
            text, or no image has a report.
        grounding: one row an image and finding, `image_id, patient_id, finding, pointing, chance, ...`; None where the
            method reads no text, or no image has a box.
        samples, seconds: training images seen, and the time in steps.
        parameters: trainable ones.
        asked: what was measured on what; another question asks for another measurement.
    """

    scored: LabelScores
    retrieval: pd.DataFrame | None
    grounding: pd.DataFrame | None
    samples: int
    seconds: float
    parameters: int
    asked: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write `run.json` and the tables, all or none."""
        card = {name: getattr(self, name) for name in ("samples", "seconds", "parameters", "asked")}
        card |= {"protocol": self.scored.protocol, "notice": self.scored.notice}
        tables = {_SCORES: self.scored.table(), _RETRIEVAL: self.retrieval, _GROUNDING: self.grounding}
        with atomic_folder(folder) as staging:
            for name, table in tables.items():
                if table is not None:
                    with_notice(table, self.scored.notice).to_csv(staging / name, index=False)
            (staging / _CARD).write_text(json.dumps(card, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> MeasuredRun | None:
        """What `save` wrote, or None where nothing was."""
        if not (folder / _CARD).is_file():
            return None
        card = json.loads((folder / _CARD).read_text())
        text = pd.read_csv(folder / _SCORES, dtype=str, keep_default_na=False)
        tables: dict[str, Any] = {
            field: pd.read_csv(folder / name) if (folder / name).is_file() else None
            for field, name in (("retrieval", _RETRIEVAL), ("grounding", _GROUNDING))
        }
        return cls(
            LabelScores.from_table(text, card["protocol"], card["notice"]),
            **tables,
            **{name: card[name] for name in ("samples", "seconds", "parameters", "asked")},
        )


def measure_run(
    model: TrainedModel,
    store: Store,
    asked: dict[str, Any],
    *,
    split: str,
    findings: Sequence[str],
    views: Sequence[str] | None = None,
    source: str | None = None,
    labels: Path | None = None,
) -> MeasuredRun:
    """Labels, and where the method reads text and the data allow it, retrieval and grounding.

    Args:
        model: just trained; its card says what it has seen.
        store: prepared as its training images.
        asked: kept with the figures.
        split, findings, views, source, labels: as in `evaluate_labels`; `source` concerns the labels alone.

    Raises:
        TaskError: as `evaluate_labels`.
    """
    rows = store.rows(split, views)
    boxed = boxed_rows(store, rows, findings) if model.method.reads_text else {}
    outputs = predict_rows(model, store, rows, findings, [name_of(finding) for finding in boxed])
    zero_shot: dict[str, Any] = {"source": source, "labels": labels}
    common: dict[str, Any] = {"split": split, "findings": findings, "views": views, "outputs": outputs}
    scored = score_labels(model, store, **zero_shot, **common)
    retrieval = grounding = None
    if model.method.reads_text and (store.table["report"].to_numpy()[rows] >= 0).any():
        retrieval = evaluate_retrieval(model, store, resamples=1, **common).images
    if boxed:
        grounding = evaluate_grounding(model, store, resamples=1, **common).pairs
    return MeasuredRun(
        scored,
        retrieval,
        grounding,
        samples=model.card["samples"],
        seconds=model.card["trained_seconds"],
        parameters=sum(p.numel() for p in model.method.parameters() if p.requires_grad),
        asked=asked,
    )
