"""`ZeroShotResult`: scores beside known labels, and what follows from them, each figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.evaluation.result import Result, estimate_columns
from medvlp.evaluation.scored_split import ScoredSplit, check_comparable
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

MACRO = "macro"


@dataclass(frozen=True)
class FindingResult:
    """One finding: how many rows had it present and absent, and how well the scores part them."""

    positives: int
    negatives: int
    auroc: Estimate
    average_precision: Estimate


@dataclass(frozen=True, eq=False, kw_only=True)
class ZeroShotResult(Result, ScoredSplit):
    """Scores beside known labels, and what follows from them.

    Attributes, beside those of `ScoredSplit`:
        findings: id -> result, for the findings that have a positive and a negative.
        macro: mean AUROC over them.
        left_out: id -> why a finding is not among them.
    """

    task: ClassVar[str] = "zero-shot"
    findings: dict[str, FindingResult]
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


def zero_shot_result(scored: ScoredSplit, resamples: int = 1000, seed: int = 0) -> ZeroShotResult:
    """The figures of a scored split, with intervals from so many resamples of patients.

    Raises:
        TaskError: no finding has a positive and a negative.
    """
    names, truth, known, scores = scored.names, scored.truth, scored.known, scored.scores
    draws = {"n": resamples, "seed": seed}
    results: dict[str, FindingResult] = {}
    left_out = scored.one_sided()
    for f, name in enumerate(names):
        if name in left_out:
            continue
        rows = known[:, f]
        positives = int(truth[rows, f].sum())
        negatives = int(rows.sum()) - positives
        columns = (scored.patient_ids[rows], truth[rows, f], scores[rows, f])
        area, precision = (bootstrap_by_patient(m, *columns, **draws) for m in (auroc, average_precision))
        results[name] = FindingResult(positives, negatives, area, precision)
    use = [names.index(name) for name in results]
    macro = bootstrap_by_patient(macro_auroc, scored.patient_ids, truth[:, use], scores[:, use], known[:, use], **draws)
    protocol = scored.protocol | {"resamples": resamples, "seed": seed}
    return ZeroShotResult(findings=results, macro=macro, left_out=left_out, **vars(scored) | {"protocol": protocol})


def compare(first: ZeroShotResult, second: ZeroShotResult) -> dict[str, Estimate]:
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
