"""Area under the ROC curve, for one set of weights or for all resamples of a bootstrap at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.metrics.distinct_scores import distinct_scores


def auroc(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    r"""The chance that a positive scores above a negative; a tie counts one half.

    .. math:: AUROC = \frac{\sum_g p_g (\sum_{h<g} n_h + n_g / 2)}{\sum_g p_g \sum_g n_g}

    with `p_g`, `n_g` the weights of positives and negatives at the g-th distinct score (Hanley & McNeil 1982, the
    Mann-Whitney form).

    Args:
        truth: bool or 0/1, `[N]`; rows without a known label are left out by the caller.
        scores: `[N]`, larger means likelier.
        weights: `[N]`, or `[N, R]` for R resamples at once; None: every row once.

    Returns:
        `[]`, or `[R]` for weights `[N, R]`. NaN where there is no positive or no negative: the value is undefined.
    """
    _, positive, negative = distinct_scores(truth, scores, weights)
    below = np.cumsum(negative, axis=0) - 0.5 * negative
    wins = np.einsum("g...,g...->...", positive, below)
    pairs = positive.sum(axis=0) * negative.sum(axis=0)
    return np.divide(wins, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0)[()]


def macro_auroc(
    truth: ArrayLike, scores: ArrayLike, known: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The mean of the findings' AUROC. Arguments as in `finding_aurocs`.

    Returns:
        `[]` or `[R]`. NaN where any finding is undefined, since a mean over fewer findings is another quantity; leave
        out findings without a positive or a negative before calling.
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
    """
    truth_, scores_, known_ = np.asarray(truth), np.asarray(scores), np.asarray(known, dtype=bool)
    weights_ = np.ones(len(truth_)) if weights is None else np.asarray(weights, dtype=np.float64)
    columns = [
        auroc(truth_[rows, f], scores_[rows, f], weights_[rows]) for f, rows in enumerate(known_.T)
    ]  # one column a finding: rows differ from finding to finding
    return np.array(columns)
