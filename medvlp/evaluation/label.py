"""Labels against known ones on a split: AUROC and average precision of each finding, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.store import Store
from medvlp.evaluation.label_scores import LabelScores, check_comparable, read_label_states
from medvlp.evaluation.model_outputs import ModelOutputs
from medvlp.evaluation.protocol import Protocol
from medvlp.evaluation.result import Result, estimate_columns
from medvlp.evaluation.task import EvaluationTask, TaskOptions, register
from medvlp.metrics import (
    FALSE_POSITIVE_RATES,
    Estimate,
    auroc,
    average_precision,
    bootstrap_by_patient,
    bootstrap_values,
    macro_auroc,
    paired_difference,
    roc_curve,
)
from medvlp.tasks.inference import Progress, run_rows
from medvlp.tasks.model import Model
from medvlp.training.model_folder import TrainedModel, check_preprocessing

MACRO = "macro"


@register("label")
class LabelTask(EvaluationTask):
    """AUROC and average precision of each finding that the model scores, as `medvlp label` does."""

    def evaluate(
        self, model: Model, store: Store, protocol: Protocol, options: TaskOptions, progress: Progress | None = None
    ) -> LabelResult:
        return evaluate_labels(model.pretrained, store, protocol, options, progress=progress)


def evaluate_labels(
    model: TrainedModel,
    store: Store,
    protocol: Protocol | None = None,
    options: TaskOptions | None = None,
    *,
    progress: Progress | None = None,
) -> LabelResult:
    """Score a split by the method's own way and compare with its labels.

    Only rows whose label is present or absent count for a finding; uncertain ones never do.

    Args:
        model, store: prepared alike, or the store is refused.
        protocol: which images and labels; the test split by default.
        options, progress: as in `EvaluationTask.evaluate`.

    Raises:
        TaskError: the split is empty, the store was prepared otherwise, or no finding has a positive and a negative.
        KeyError: a finding that nobody knows, or that the method cannot score.
    """
    protocol = protocol or Protocol()
    return label_result(score_labels(model, store, protocol, options, progress=progress), protocol)


def labeled_rows(
    store: Store, protocol: Protocol, findings: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """The rows `[N]` of a protocol and what is known of them, `[N, F]` in the codes of `FindingState`.

    Raises:
        TaskError: no rows, or a table of labels that does not fit them.
    """
    rows = protocol.rows(store)
    if protocol.labels is None:
        return rows, store.states(findings)[rows]
    return rows, read_label_states(protocol.labels, store, rows, findings)


def score_labels(
    model: TrainedModel,
    store: Store,
    protocol: Protocol,
    options: TaskOptions | None = None,
    *,
    progress: Progress | None = None,
    outputs: ModelOutputs | None = None,
) -> LabelScores:
    """The scores of `evaluate_labels` without figures; arguments and errors as there.

    `outputs` of these rows and findings, where they are there already, are taken instead of running the model.
    """
    check_preprocessing(store, model.preprocess)
    names = protocol.findings_or(model.findings)
    rows, states = labeled_rows(store, protocol, names)

    def score(images: Tensor) -> Tensor:
        return model.method.score(images, names)

    if outputs is None:
        batch_size = (options or TaskOptions()).batch_size
        scores = run_rows(score, store, rows, model.device, batch_size, progress)
    else:
        scores = outputs.scores[outputs.at(rows)]
    record = protocol.record(store, rows, method=model.card.get("method"))
    return LabelScores.of_rows(store, rows, names, scores, states, record, model.notice)


@dataclass(frozen=True)
class FindingFigures:
    """One finding: how many rows had it present and absent, and how well the scores part them."""

    positives: int
    negatives: int
    auroc: Estimate
    average_precision: Estimate


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelResult(Result, LabelScores):
    """Scores beside known labels, and what follows from them.

    Attributes, beside those of `LabelScores`:
        findings: id -> result, for the findings that have a positive and a negative.
        macro: mean AUROC over them.
        left_out: id -> why a finding is not among them.
    """

    task: str = "label"
    findings: dict[str, FindingFigures]
    macro: Estimate
    left_out: dict[str, str]

    def columns(self, finding: str) -> tuple[NDArray[np.object_], NDArray[np.bool_], NDArray[np.float32]]:
        """Patients, truth and scores of the rows where one finding is known."""
        f = self.names.index(finding)
        rows = self.known[:, f]
        return self.patient_ids[rows], self.truth[rows, f], self.scores[rows, f]

    def roc(self, finding: str) -> dict[str, NDArray[np.float64]]:
        """`rates`, `hits`, `low`, `high` `[101]`: the curve and its 95 % band, from the same resamples as the table."""
        columns = self.columns(finding)
        curves = bootstrap_values(roc_curve, *columns, n=self.protocol["resamples"], seed=self.protocol["seed"])
        low, high = np.nanpercentile(curves, (2.5, 97.5), axis=1)
        return {"rates": FALSE_POSITIVE_RATES, "hits": roc_curve(*columns[1:]), "low": low, "high": high}

    def figures_by_name(self) -> dict[str, Any]:
        findings = {name: vars(r) for name, r in self.findings.items()}
        return {"macro_auroc": self.macro, "findings": findings, "left_out": self.left_out}

    def summary(self) -> tuple[list[str], list[list[Any]]]:
        rows: list[list[Any]] = [
            [name, r.positives, r.negatives, r.auroc, r.average_precision] for name, r in self.findings.items()
        ]
        return ["finding", "n+", "n-", "AUROC", "AUPRC"], [*rows, [MACRO, "", "", self.macro, ""]]

    def remarks(self) -> list[str]:
        said = [f"left out: {name} ({reason})" for name, reason in self.left_out.items()]
        if self.macro.skipped:
            said.append(
                f"{self.macro.skipped} of {self.protocol['resamples']} resamples lack a positive or a negative of some "
                "finding and are not in the interval of the macro average"
            )
        return said

    def tables(self) -> dict[str, pd.DataFrame]:
        """`result.csv` (figures), `scores.csv` (each image's scores and labels) and `roc.csv` (curves with bands)."""
        rows = [
            {"finding": name, "positives": r.positives, "negatives": r.negatives}
            | estimate_columns("auroc", r.auroc)
            | estimate_columns("average_precision", r.average_precision)
            for name, r in self.findings.items()
        ]
        curves = [pd.DataFrame({"finding": name} | self.roc(name)) for name in self.findings]
        return {
            "result.csv": pd.DataFrame([*rows, {"finding": MACRO} | estimate_columns("auroc", self.macro)]),
            "scores.csv": self.table(),
            "roc.csv": pd.concat(curves),
        }


def label_result(scored: LabelScores, protocol: Protocol | None = None, task: str = "label") -> LabelResult:
    """The figures of a scored split, with intervals from the protocol's resamples of patients.

    Args:
        scored: scores beside labels; of a model, or of whatever else gives each finding a score.
        protocol: its resamples and seed are read.
        task: the name that stands on the result.

    Raises:
        TaskError: no finding has a positive and a negative.
    """
    names, truth, known, scores = scored.names, scored.truth, scored.known, scored.scores
    draws = (protocol or Protocol()).draws
    results: dict[str, FindingFigures] = {}
    left_out = scored.one_sided()
    for f, name in enumerate(names):
        if name in left_out:
            continue
        rows = known[:, f]
        positives = int(truth[rows, f].sum())
        negatives = int(rows.sum()) - positives
        columns = (scored.patient_ids[rows], truth[rows, f], scores[rows, f])
        area, precision = (bootstrap_by_patient(m, *columns, **draws) for m in (auroc, average_precision))
        results[name] = FindingFigures(positives, negatives, area, precision)
    use = [names.index(name) for name in results]
    macro = bootstrap_by_patient(macro_auroc, scored.patient_ids, truth[:, use], scores[:, use], known[:, use], **draws)
    record = scored.protocol | {"resamples": draws["n"], "seed": draws["seed"]}
    return LabelResult(
        findings=results, macro=macro, left_out=left_out, task=task, **vars(scored) | {"protocol": record}
    )


def compare_auroc(first: LabelResult, second: LabelResult) -> dict[str, Estimate]:
    """By how much the first model's AUROC is above the second's, on the same patients: finding -> difference.

    The last entry, `macro`, is over the findings that both have. A difference is outside chance where its interval does
    not hold 0.

    Raises:
        TaskError: the two were not evaluated on the same images and labels.
    """
    check_comparable(first, second)
    shared = [name for name in first.findings if name in second.findings]
    a, b = ([r.names.index(name) for name in shared] for r in (first, second))
    draws = {"n": first.protocol["resamples"], "seed": first.protocol["seed"]}
    differences = {}
    for f, g, name in zip(a, b, shared, strict=True):
        rows = first.known[:, f]
        truth = first.truth[rows, f]
        pair = ((truth, first.scores[rows, f]), (truth, second.scores[rows, g]))
        differences[name] = paired_difference(auroc, first.patient_ids[rows], *pair, **draws)
    truth, known = first.truth[:, a], first.known[:, a]
    ours, theirs = (truth, first.scores[:, a], known), (truth, second.scores[:, b], known)
    return differences | {MACRO: paired_difference(macro_auroc, first.patient_ids, ours, theirs, **draws)}
