"""The mean of a value that every image has by itself (Dice, pointing game, CNR), in the form the bootstrap takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def image_mean(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Mean over images; an image whose value is NaN (undefined, such as Dice without a true mask) is left out.

    Args:
        values: `[N]`.
        weights: `[N]`, or `[N, R]` for R resamples at once; None: every image once.

    Returns:
        `[]` or `[R]`; NaN where no image is defined.
    """
    values_ = np.asarray(values, dtype=np.float64)
    weights_ = np.ones(len(values_)) if weights is None else np.asarray(weights, dtype=np.float64)
    defined = ~np.isnan(values_)
    total = weights_[defined].sum(axis=0)
    added = values_[defined] @ weights_[defined]
    return np.divide(added, total, out=np.full(np.shape(total), np.nan), where=total > 0)[()]


def group_mean(values: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The mean over groups (findings) of their own `image_mean`.

    Args:
        values, weights: as in `image_mean`.
        groups: `[N]`, which group each value is of.

    Returns:
        `[]` or `[R]`; NaN where a resample lacks a group, since a mean over fewer groups is another quantity.
    """
    values_, groups_ = np.asarray(values), np.asarray(groups)
    weights_ = np.ones(len(values_)) if weights is None else np.asarray(weights)
    return np.mean(
        [image_mean(values_[rows], weights_[rows]) for g in np.unique(groups_) for rows in [groups_ == g]], axis=0
    )
