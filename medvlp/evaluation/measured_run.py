"""`MeasuredRun`: all that a comparison keeps of one training run, measured once and read back from its files."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from medvlp.data.store import Store
from medvlp.evaluation.grounding import boxed_rows, evaluate_grounding
from medvlp.evaluation.label import score_labels
from medvlp.evaluation.label_scores import LabelScores
from medvlp.evaluation.model_outputs import predict_rows
from medvlp.evaluation.protocol import Protocol
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
        settings: all that decides the figures beside the model; with others it has to be measured anew.
    """

    scored: LabelScores
    retrieval: pd.DataFrame | None
    grounding: pd.DataFrame | None
    samples: int
    seconds: float
    parameters: int
    settings: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write `run.json` and the tables, all or none."""
        card = {name: getattr(self, name) for name in ("samples", "seconds", "parameters", "settings")}
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
            **{name: card[name] for name in ("samples", "seconds", "parameters")},
            settings=card["settings"] if "settings" in card else card["asked"],  # the key of older folders
        )


def measure_run(model: TrainedModel, store: Store, settings: dict[str, Any], protocol: Protocol) -> MeasuredRun:
    """Labels, and where the method reads text and the data allow it, retrieval and grounding.

    Args:
        model: just trained; its card says what it has seen.
        store: prepared as its training images.
        settings: kept with the figures.
        protocol: with its findings; its source concerns the labels alone, since boxes and reports may be of another.

    Raises:
        TaskError: as `evaluate_labels`.
    """
    everywhere = replace(protocol, source=None, labels=None, resamples=1)
    rows, findings = everywhere.rows(store), protocol.findings_or(model.findings)
    boxed = boxed_rows(store, rows, findings) if model.method.reads_text else {}
    outputs = predict_rows(model, store, rows, findings, [name_of(finding) for finding in boxed])
    scored = score_labels(model, store, protocol, outputs=outputs)
    retrieval = grounding = None
    if model.method.reads_text and (store.table["report"].to_numpy()[rows] >= 0).any():
        retrieval = evaluate_retrieval(model, store, everywhere, outputs=outputs).images
    if boxed:
        grounding = evaluate_grounding(model, store, everywhere, outputs=outputs).pairs
    return MeasuredRun(
        scored,
        retrieval,
        grounding,
        samples=model.card["samples"],
        seconds=model.card["trained_seconds"],
        parameters=sum(p.numel() for p in model.method.parameters() if p.requires_grad),
        settings=settings,
    )
