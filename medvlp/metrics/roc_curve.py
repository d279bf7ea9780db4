"""The ROC curve read at fixed false positive rates, so that curves of resamples can be compared point by point."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.metrics.distinct_scores import distinct_scores

FALSE_POSITIVE_RATES: NDArray[np.float64] = np.linspace(0, 1, 101)


def roc_curve(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """True positive rate at each of `FALSE_POSITIVE_RATES` (K = 101), straight lines between the distinct scores.

    At false positive rate 0 the curve starts at 0; a vertical rise is read at its upper end.

    Returns:
        `[K]`, or `[K, R]` for weights `[N, R]`. NaN where there is no positive or no negative.
    """
    _, positive, negative = distinct_scores(truth, scores, weights)
    true, false = _rates(positive), _rates(negative)
    if true.ndim == 1:
        return _read(true, false)
    return np.stack([_read(t, f) for t, f in zip(true.T, false.T, strict=True)], axis=1)  # np.interp takes one curve


def _read(true: NDArray[np.float64], false: NDArray[np.float64]) -> NDArray[np.float64]:
    if np.isnan([true[-1], false[-1]]).any():
        return np.full(len(FALSE_POSITIVE_RATES), np.nan)
    curve = np.interp(FALSE_POSITIVE_RATES, false, true)
    curve[0] = 0.0
    return curve


def _rates(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of a class at or above each distinct score, from none to all: `[G, ...]` -> `[G + 1, ...]`."""
    total = counts.sum(axis=0)
    reached = np.concatenate([np.zeros((1, *counts.shape[1:])), np.cumsum(counts[::-1], axis=0)])
    return np.divide(reached, total, out=np.full_like(reached, np.nan), where=total > 0)
