"""95 % intervals from resampling patients: images and studies of one patient are no independent observations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.metrics.estimate import Estimate

Metric = Callable[..., Any]
"""`metric(*arrays, weights)`: arrays have N rows, weights are `[N, R]`, the result is `[R]` or `[K, R]`."""

_CELLS = 4_000_000  # weights held at once: 32 MB


def bootstrap_by_patient(
    metric: Metric, patient_ids: ArrayLike, *arrays: ArrayLike, n: int = 1000, seed: int = 0
) -> Estimate:
    """A metric with its percentile interval over `n` resamples of patients.

    A patient drawn twice counts twice with all of his or her rows: drawing is a matter of weights, so that a metric
    sorts its scores once for all resamples.

        bootstrap_by_patient(auroc, patients, truth, scores)

    Args:
        metric: takes the arrays and `weights [N, R]`, as all of `medvlp.metrics` do.
        patient_ids: `[N]`.
        arrays: each with N rows.
    """
    values = resample(metric, patient_ids, *arrays, n=n, seed=seed)
    return Estimate.from_resamples(float(_on_all(metric, arrays)), values, _count(patient_ids))


def paired_difference(
    metric: Metric,
    patient_ids: ArrayLike,
    first: Sequence[ArrayLike],
    second: Sequence[ArrayLike],
    n: int = 1000,
    seed: int = 0,
) -> Estimate:
    """How much `first` is above `second` on the same patients; every resample is the same for both.

        paired_difference(auroc, patients, (truth, ours), (truth, theirs))

    The difference is outside chance where the interval does not hold 0.
    """
    a = resample(metric, patient_ids, *first, n=n, seed=seed)
    b = resample(metric, patient_ids, *second, n=n, seed=seed)
    difference = float(_on_all(metric, first) - _on_all(metric, second))
    return Estimate.from_resamples(difference, a - b, _count(patient_ids))


def resample(
    metric: Metric, patient_ids: ArrayLike, *arrays: ArrayLike, n: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """The metric on each of `n` resamples: `[n]`, or `[K, n]` for a curve; NaN where undefined.

    Raises:
        ValueError: an array has another number of rows than there are patient ids.
    """
    rows = len(np.asarray(patient_ids))
    columns = [np.asarray(a) for a in arrays]
    if any(len(c) != rows for c in columns):
        raise ValueError(f"{rows} patient ids, but arrays of {[len(c) for c in columns]} rows")
    parts = [metric(*columns, weights=weights) for weights in patient_weights(patient_ids, n, seed)]
    return np.concatenate(parts, axis=-1)


def patient_weights(patient_ids: ArrayLike, n: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each row counts in each of `n` resamples of patients, in blocks `[N, R]` of bounded size.

    The draws depend on the seed and on the patients alone, not on the size of the blocks.
    """
    patients, index = np.unique(np.asarray(patient_ids), return_inverse=True)
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS // max(1, len(index)))
    for start in range(0, n, block):
        size = min(block, n - start)
        drawn = rng.integers(len(patients), size=(size, len(patients))) if len(patients) else np.empty((size, 0), int)
        cells = drawn * size + np.arange(size)[:, None]
        counts = np.bincount(cells.ravel(), minlength=len(patients) * size).reshape(len(patients), size)
        yield counts.astype(np.float64)[index]


def _on_all(metric: Metric, arrays: Sequence[ArrayLike]) -> Any:
    columns = [np.asarray(a) for a in arrays]
    return metric(*columns, weights=np.ones((len(columns[0]), 1)))[0]


def _count(patient_ids: ArrayLike) -> int:
    return len(np.unique(np.asarray(patient_ids)))
