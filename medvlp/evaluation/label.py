"""Zero-shot labels against known ones on a split of a store; what counts as known is written down with the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.store import Store
from medvlp.evaluation.label_scores import LabelScores, check_comparable, read_label_states
from medvlp.evaluation.model_outputs import ModelOutputs
from medvlp.evaluation.result import Result, estimate_columns
from medvlp.metrics import (
    FALSE_POSITIVE_RATES,
    Estimate,
    auroc,
    average_precision,
    bootstrap_by_patient,
    macro_auroc,
    paired_difference,
    resample,
    roc_curve,
)
from medvlp.tasks.inference import Progress, TaskError, check_preprocessing, run_rows
from medvlp.training.model_folder import TrainedModel


def evaluate_labels(
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
) -> LabelResult:
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
    scored = score_labels(model, store, **asked, unmentioned=unmentioned, batch_size=batch_size, progress=progress)
    return label_result(scored, resamples, seed)


def labeled_rows(
    store: Store,
    findings: Sequence[str],
    *,
    split: str = "test",
    source: str | None = None,
    views: Sequence[str] | None = None,
    labels: str | Path | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """The rows `[N]` that are measured, and their states `[N, F]`; arguments as `evaluate_labels`.

    Raises:
        TaskError: no rows, or a table of labels that does not fit them.
    """
    rows = store.rows(split, views)
    if source is not None:
        rows = rows[(store.table["source"].iloc[rows] == source).to_numpy()]
    if not len(rows):
        kinds = " ".join([*(views or ()), *([source] if source else []), "images"])
        raise TaskError(f"{store.path} has no {kinds} in the split {split!r}")
    return rows, store.states(findings)[rows] if labels is None else read_label_states(labels, store, rows, findings)


def score_labels(
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
    outputs: ModelOutputs | None = None,
) -> LabelScores:
    """The scores of `evaluate_labels` without figures; arguments and errors as there.

    `outputs` of these rows and findings, where they are there already, are taken instead of running the model.
    """
    check_preprocessing(store, model.preprocess)
    names = tuple(findings) if findings is not None else model.findings
    rows, states = labeled_rows(store, names, split=split, source=source, views=views, labels=labels)

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
    return LabelScores(
        names=names,
        image_ids=table["image_id"].to_numpy(object),
        patient_ids=table["patient_id"].to_numpy(object),
        scores=scores,
        states=states,
        protocol=protocol,
        notice=model.notice,
    )


MACRO = "macro"


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

    task: ClassVar[str] = "zero-shot"
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
        curves = resample(roc_curve, *columns, n=self.protocol["resamples"], seed=self.protocol["seed"])
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


def label_result(scored: LabelScores, resamples: int = 1000, seed: int = 0) -> LabelResult:
    """The figures of a scored split, with intervals from so many resamples of patients.

    Raises:
        TaskError: no finding has a positive and a negative.
    """
    names, truth, known, scores = scored.names, scored.truth, scored.known, scored.scores
    draws = {"n": resamples, "seed": seed}
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
    protocol = scored.protocol | {"resamples": resamples, "seed": seed}
    return LabelResult(findings=results, macro=macro, left_out=left_out, **vars(scored) | {"protocol": protocol})


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
