"""AUROC, average precision and ROC curves, for one set of weights or for all resamples of a bootstrap at once.

scikit-learn takes one set of weights a call and sorts each time; here the scores are sorted once for all resamples. The
tests hold the values equal to `roc_auc_score` and `average_precision_score`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.metrics.intervals import supported_by

FALSE_POSITIVE_RATES: NDArray[np.float64] = np.linspace(0, 1, 101)


class _ClassCounts(NamedTuple):
    """Weights of both classes at each of the G distinct scores in rising order, `[G]`, or `[G, R]` for R resamples."""

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]


def _count_classes(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> _ClassCounts:
    """Sort once and add up ties, so that every set of weights is counted without sorting again.

    Args:
        truth: bool or 0/1, `[N]`.
        scores: `[N]`, larger means likelier.
        weights: how often each row counts, `[N]` or `[N, R]`; None: once.

    Raises:
        ValueError: lengths differ, or a score is NaN, which would sort to the top unnoticed.
    """
    truth_, scores_ = np.asarray(truth, dtype=bool), np.asarray(scores, dtype=np.float64)
    if truth_.ndim != 1 or truth_.shape != scores_.shape:
        raise ValueError(f"truth and scores are both [N]; got {truth_.shape} and {scores_.shape}")
    if np.isnan(scores_).any():
        raise ValueError(f"{int(np.isnan(scores_).sum())} of {len(scores_)} scores are NaN; leave those rows out")
    weights_ = np.ones(len(truth_)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(weights_) != len(truth_):
        raise ValueError(f"weights are [N] or [N, R] with N = {len(truth_)}; got {weights_.shape}")
    order = np.argsort(scores_, kind="stable")
    ordered, weights_ = scores_[order], weights_[order]
    label = truth_[order].reshape(-1, *[1] * (weights_.ndim - 1))
    starts = np.flatnonzero(np.diff(ordered, prepend=np.nan))  # NaN differs from every score: the first always starts
    return _ClassCounts(
        np.add.reduceat(weights_ * label, starts, axis=0) if len(starts) else weights_,
        np.add.reduceat(weights_ * ~label, starts, axis=0) if len(starts) else weights_,
    )


def _both_classes(truth: NDArray[Any], *_: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    return {"positive": truth.astype(bool), "negative": ~truth.astype(bool)}


def _any_finding(truth: NDArray[Any], _: NDArray[Any], known: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """Of a mean over findings: patients with a positive of any."""
    positive, known = truth.astype(bool), known.astype(bool)
    return {"positive": (positive & known).any(axis=1), "negative": (~positive & known).any(axis=1)}


@supported_by(_both_classes)
def auroc(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    r"""The probability that a positive scores above a negative; a tie counts one half.

    .. math:: AUROC = \frac{\sum_g p_g (\sum_{h<g} n_h + n_g / 2)}{\sum_g p_g \sum_g n_g}

    with `p_g`, `n_g` the weights of positives and negatives at the g-th distinct score (Hanley & McNeil 1982, the
    Mann-Whitney form).

    Args:
        truth: bool or 0/1, `[N]`; rows without a known label are left out by the caller.
        scores: `[N]`, larger means likelier.
        weights: `[N]`, or `[N, R]` for R resamples at once; None: every row once.

    Returns:
        `[]`, or `[R]` for weights `[N, R]`. NaN where there is no positive or no negative: the value is undefined.

    Raises:
        ValueError: lengths differ, or a score is NaN.

    Examples:
        >>> float(auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
        0.75
    """
    positive, negative = _count_classes(truth, scores, weights)
    below = np.cumsum(negative, axis=0) - 0.5 * negative
    wins = np.einsum("g...,g...->...", positive, below)
    pairs = positive.sum(axis=0) * negative.sum(axis=0)
    return np.divide(wins, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0)[()]


@supported_by(_any_finding)
def macro_auroc(
    truth: ArrayLike, scores: ArrayLike, known: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The mean of the findings' AUROC. Arguments as in `finding_aurocs`.

    Returns:
        `[]` or `[R]`. NaN where any finding is undefined, since a mean over fewer findings is another quantity; leave
        out findings without a positive or a negative before calling.

    Examples:
        >>> float(macro_auroc([[0, 1], [1, 0]], [[0.1, 0.2], [0.9, 0.8]], np.ones((2, 2))))
        0.5
    """
    return np.mean(finding_aurocs(truth, scores, known, weights), axis=0)


def finding_aurocs(
    truth: ArrayLike, scores: ArrayLike, known: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The AUROC of each finding, over the rows where that finding is known.

    Args:
        truth, scores: `[N, F]`.
        known: bool `[N, F]`, True where the label is known; all other cells are ignored.
        weights: `[N]` or `[N, R]`.

    Returns:
        `[F]` or `[F, R]`.

    Examples:
        >>> finding_aurocs([[0, 1], [1, 0]], [[0.1, 0.2], [0.9, 0.8]], np.ones((2, 2))).tolist()
        [1.0, 0.0]
    """
    truth_, scores_, known_ = np.asarray(truth), np.asarray(scores), np.asarray(known, dtype=bool)
    weights_ = np.ones(len(truth_)) if weights is None else np.asarray(weights, dtype=np.float64)
    columns = [
        auroc(truth_[rows, f], scores_[rows, f], weights_[rows]) for f, rows in enumerate(known_.T)
    ]  # one column a finding: rows differ from finding to finding
    return np.array(columns)


@supported_by(_both_classes)
def average_precision(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    r"""Area under the precision-recall curve, summed step by step without interpolation.

    .. math:: AP = \sum_g (R_g - R_{g-1}) P_g

    over the distinct scores from high to low; `R` recall, `P` precision (Zhu 2004). Its chance level is the prevalence,
    which belongs beside it in a table. Arguments as in `auroc`.

    Returns:
        `[]`, or `[R]` for weights `[N, R]`. NaN where there is no positive.

    Examples:
        >>> round(float(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])), 3)
        0.833
    """
    positive, negative = _count_classes(truth, scores, weights)
    true, false = np.cumsum(positive[::-1], axis=0), np.cumsum(negative[::-1], axis=0)
    called = true + false
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    total = positive.sum(axis=0)
    gained = np.einsum("g...,g...->...", positive[::-1], precision)
    return np.divide(gained, total, out=np.full(np.shape(total), np.nan), where=total > 0)[()]


@supported_by(_both_classes)
def roc_curve(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """True positive rate at each of `FALSE_POSITIVE_RATES` (K = 101), straight lines between the distinct scores.

    Fixed rates, so that the curves of resamples can be compared point by point. At false positive rate 0 the curve
    starts at 0; a vertical rise is read at its upper end. Arguments as in `auroc`.

    Returns:
        `[K]`, or `[K, R]` for weights `[N, R]`. NaN where there is no positive or no negative.

    Examples:
        >>> roc_curve([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])[[0, 49, 50, 100]].tolist()
        [0.0, 0.5, 1.0, 1.0]
    """
    positive, negative = _count_classes(truth, scores, weights)
    true, false = _rates(positive), _rates(negative)
    if true.ndim == 1:
        return _at_fixed_rates(true, false)
    return np.stack([_at_fixed_rates(t, f) for t, f in zip(true.T, false.T, strict=True)], axis=1)


def _at_fixed_rates(true: NDArray[np.float64], false: NDArray[np.float64]) -> NDArray[np.float64]:
    if np.isnan([true[-1], false[-1]]).any():
        return np.full(len(FALSE_POSITIVE_RATES), np.nan)
    curve = np.interp(FALSE_POSITIVE_RATES, false, true)
    curve[0] = 0.0
    return curve


def _rates(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fraction of a class at or above each distinct score, from none to all: `[G, ...]` -> `[G + 1, ...]`."""
    total = counts.sum(axis=0)
    reached = np.concatenate([np.zeros((1, *counts.shape[1:])), np.cumsum(counts[::-1], axis=0)])
    return np.divide(reached, total, out=np.full_like(reached, np.nan), where=total > 0)
