"""Recall and precision among the first k of a gallery, and finding-set overlap as the measure of what is relevant."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def recall_at_k(similarity: ArrayLike, relevant: ArrayLike, k: int) -> NDArray[np.float64]:
    """For each query, 1 where a relevant item is among its first k, else 0.

    An irrelevant item that ties with the best relevant one is ranked before it, so that a collapsed model, for
    which everything is equally similar, gets no credit.

    Args:
        similarity: `[Q, G]`; -inf takes an item out of a query's gallery.
        relevant: bool `[Q, G]`.
        k: at least 1.

    Returns:
        `[Q]`; NaN for a query without any relevant item. `image_mean` and the bootstrap take it from here.

    Examples:
        >>> recall_at_k([[0.9, 0.1], [0.2, 0.7]], [[True, False], [True, False]], k=1).tolist()
        [1.0, 0.0]
    """
    similarity_, relevant_ = np.asarray(similarity, dtype=np.float64), np.asarray(relevant, dtype=bool)
    best = np.where(relevant_, similarity_, -np.inf).max(axis=1, keepdims=True)
    before = ((similarity_ >= best) & ~relevant_).sum(axis=1)
    return np.where(np.isneginf(best[:, 0]), np.nan, before < k)


def precision_at_k(similarity: ArrayLike, relevance: ArrayLike, k: int) -> NDArray[np.float64]:
    """For each query, the mean relevance of its first k items.

    Items that tie for the last ranks share them, so that the order of the gallery does not matter.

    Args:
        similarity: `[Q, G]`; -inf takes an item out of a query's gallery.
        relevance: `[Q, G]`, bool or between 0 and 1 (such as `finding_overlap`).
        k: at least 1; a smaller gallery is taken whole.

    Returns:
        `[Q]`; NaN for a query with an empty gallery.

    Examples:
        >>> precision_at_k([[0.9, 0.5, 0.5]], [[1, 1, 0]], k=2).tolist()
        [0.75]
    """
    similarity_, relevance_ = np.asarray(similarity, dtype=np.float64), np.asarray(relevance, dtype=np.float64)
    size = np.minimum(k, np.isfinite(similarity_).sum(axis=1))
    falling = -np.sort(-similarity_, axis=1)
    last = np.take_along_axis(falling, np.maximum(size - 1, 0)[:, None], axis=1)
    above, tied = similarity_ > last, (similarity_ == last) & np.isfinite(similarity_)
    share = (size - above.sum(axis=1)) / np.maximum(tied.sum(axis=1), 1)
    gained = ((above + tied * share[:, None]) * relevance_).sum(axis=1)
    return np.divide(gained, size, out=np.full(len(size), np.nan), where=size > 0)


def finding_overlap(query: ArrayLike, gallery: ArrayLike) -> NDArray[np.float64]:
    """Jaccard overlap of two sets of present findings: shared over either; 1 where both have none.

    Args:
        query: bool `[Q, F]`, True where a finding is present.
        gallery: bool `[G, F]`.

    Returns:
        `[Q, G]` between 0 and 1; its mean is what a random ranking would reach as precision.

    Examples:
        >>> finding_overlap([[1, 1, 0]], [[1, 0, 0], [0, 0, 1]]).tolist()
        [[0.5, 0.0]]
    """
    q, g = np.asarray(query, dtype=np.float64), np.asarray(gallery, dtype=np.float64)
    shared = q @ g.T
    either = q.sum(axis=1)[:, None] + g.sum(axis=1)[None] - shared
    return np.where(either > 0, shared / np.maximum(either, 1), 1.0)
