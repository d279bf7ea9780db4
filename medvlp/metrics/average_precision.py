"""Average precision: the area under the precision-recall curve, summed step by step without interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.metrics.distinct_scores import distinct_scores


def average_precision(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    r"""`\sum_g (R_g - R_{g-1}) P_g` over the distinct scores from high to low; `R` recall, `P` precision.

    Its chance level is the prevalence, which belongs beside it in a table. Arguments as in `auroc`.

    Returns:
        `[]`, or `[R]` for weights `[N, R]`. NaN where there is no positive.
    """
    _, positive, negative = distinct_scores(truth, scores, weights)
    true, false = np.cumsum(positive[::-1], axis=0), np.cumsum(negative[::-1], axis=0)
    called = true + false
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    total = positive.sum(axis=0)
    gained = np.einsum("g...,g...->...", positive[::-1], precision)
    return np.divide(gained, total, out=np.full(np.shape(total), np.nan), where=total > 0)[()]
