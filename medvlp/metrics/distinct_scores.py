"""Positives and negatives at each distinct score: what AUROC, average precision and the ROC curve are counted from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class DistinctScores(NamedTuple):
    """Weights of the two classes at each of the G distinct scores, in rising order of the score.

    Attributes:
        scores: float64 `[G]`.
        positive, negative: float64 `[G]`, or `[G, R]` for weights `[N, R]`.
    """

    scores: NDArray[np.float64]
    positive: NDArray[np.float64]
    negative: NDArray[np.float64]


def distinct_scores(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> DistinctScores:
    """Sort once, add up ties: every set of weights is then counted without sorting again.

    Args:
        truth: bool or 0/1, `[N]`.
        scores: `[N]`, larger means likelier.
        weights: how often each row counts, `[N]` or `[N, R]` for R resamples at once; None: once.

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
    return DistinctScores(
        ordered[starts],
        np.add.reduceat(weights_ * label, starts, axis=0) if len(starts) else weights_,
        np.add.reduceat(weights_ * ~label, starts, axis=0) if len(starts) else weights_,
    )
