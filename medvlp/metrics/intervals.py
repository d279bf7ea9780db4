"""A value with its 95 % interval from resampling patients: images of one patient are not independent observations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Callable[..., Any]
"""`metric(*arrays, weights)`: arrays have N rows, weights are `[N, R]`, the result is `[R]` or `[K, R]`."""

FEWEST = 5
"""Patients below which an interval is not known: resampling so few does not show how far a value would move."""

_CELLS = 4_000_000  # weights held at once: 32 MB
_support: dict[Metric, Callable[..., Mapping[str, NDArray[np.bool_]]]] = {}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric on all patients, with its interval from resampled ones.

    Attributes:
        value: on all rows; NaN where undefined.
        low, high: bounds of the 95 % interval; NaN where no resample was defined or the interval is unknown.
        n: number of patients that were resampled.
        skipped: resamples on which the metric was undefined; they are not used.
        interval_unknown: why the interval cannot be known, such as `1 patient with a positive`; empty where it can.

    Examples:
        >>> print(Estimate(0.912, 0.875, 0.945, n=40))
        0.91 [0.88, 0.94]
        >>> print(Estimate.from_resamples(1.0, np.ones(1000), n=40, unknown="1 patient with a positive"))
        1.00 interval unknown (1 patient with a positive)
    """

    value: float
    low: float
    high: float
    n: int
    skipped: int = 0
    interval_unknown: str = ""

    @classmethod
    def from_resamples(cls, value: float, resampled: NDArray[np.float64], n: int, unknown: str = "") -> Estimate:
        """A value with the percentiles 2.5 and 97.5 of its resamples `[R]`; NaN ones are skipped and counted.

        Args:
            value: on all rows.
            resampled: the metric on each resample.
            n: number of patients; with fewer than `FEWEST` the interval is unknown.
            unknown: another reason why it is, as `interval_unknown` gives it.
        """
        defined = resampled[np.isfinite(resampled)]
        unknown = unknown or (_count(n, "patient") if n < FEWEST else "")
        low, high = np.percentile(defined, (2.5, 97.5)) if len(defined) and not unknown else (np.nan, np.nan)
        return cls(value, float(low), float(high), n, len(resampled) - len(defined), unknown)

    def __str__(self) -> str:
        return self.text()

    def text(self, digits: int = 2, scale: float = 1.0) -> str:
        """`0.91 [0.88, 0.94]`; `undefined` where there is no value; `scale=100` for percent."""
        if math.isnan(self.value):
            return "undefined"
        value, low, high = (f"{scale * v:.{digits}f}" for v in (self.value, self.low, self.high))
        return (
            f"{value} interval unknown ({self.interval_unknown})"
            if self.interval_unknown
            else f"{value} [{low}, {high}]"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file, NaN as None; `interval_unknown` only where there is a reason."""
        values = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}
        return {k: v for k, v in values.items() if k != "interval_unknown" or v}


def bootstrap_by_patient(
    metric: Metric, patient_ids: ArrayLike, *arrays: ArrayLike, n: int = 1000, seed: int = 0
) -> Estimate:
    """A metric with its percentile interval over `n` resamples of patients (Efron 1979, in clusters).

    A patient drawn twice counts twice with all of their rows. Resamples are weights, so that a metric sorts its scores
    once for all of them.

    Args:
        metric: takes the arrays and `weights [N, R]`, as all of `medvlp.metrics` do.
        patient_ids: `[N]`.
        arrays: each with N rows.
        n: number of resamples.
        seed: of the resamples.

    Raises:
        ValueError: an array has another number of rows than there are patient ids.

    Examples:
        >>> from medvlp.metrics import auroc
        >>> truth = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
        >>> scores = [1, 2, 3, 4, 5, 9, 4, 6, 7, 8, 9, 9]
        >>> print(bootstrap_by_patient(auroc, range(12), truth, scores))
        0.82 [0.50, 1.00]
    """
    values = bootstrap_values(metric, patient_ids, *arrays, n=n, seed=seed)
    unknown = interval_unknown(metric, patient_ids, *arrays)
    return Estimate.from_resamples(_on_all(metric, arrays), values, _distinct(patient_ids), unknown)


def paired_difference(
    metric: Metric,
    patient_ids: ArrayLike,
    first: Sequence[ArrayLike],
    second: Sequence[ArrayLike],
    n: int = 1000,
    seed: int = 0,
) -> Estimate:
    """The metric of `first` minus that of `second` on the same patients; both use the same resamples.

    The difference is outside chance where the interval does not hold 0.

    Args:
        metric, patient_ids, n, seed: as in `bootstrap_by_patient`.
        first, second: the arrays of each, such as `(truth, scores)`.

    Examples:
        >>> ours, theirs = np.array([0.9, 0.8, 0.7, 0.9, 0.6]), np.array([0.7, 0.7, 0.6, 0.8, 0.3])
        >>> print(paired_difference(image_mean, range(5), (ours,), (theirs,)))
        0.16 [0.10, 0.24]
    """
    a = bootstrap_values(metric, patient_ids, *first, n=n, seed=seed)
    b = bootstrap_values(metric, patient_ids, *second, n=n, seed=seed)
    unknown = interval_unknown(metric, patient_ids, *first) or interval_unknown(metric, patient_ids, *second)
    difference = _on_all(metric, first) - _on_all(metric, second)
    return Estimate.from_resamples(difference, a - b, _distinct(patient_ids), unknown)


def bootstrap_values(
    metric: Metric, patient_ids: ArrayLike, *arrays: ArrayLike, n: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """The metric on each of `n` resamples of patients: `[n]`, or `[K, n]` for a curve; NaN where undefined.

    Raises:
        ValueError: an array has another number of rows than there are patient ids.

    Examples:
        >>> bootstrap_values(image_mean, ["a", "a", "b"], [0.0, 1.0, 0.5], n=4).tolist()
        [0.5, 0.5, 0.5, 0.5]
    """
    rows = len(np.asarray(patient_ids))
    columns = [np.asarray(a) for a in arrays]
    if any(len(c) != rows for c in columns):
        raise ValueError(f"{rows} patient ids, but arrays of {[len(c) for c in columns]} rows")
    parts = [metric(*columns, weights=weights) for weights in _patient_weights(patient_ids, n, seed)]
    return np.concatenate(parts, axis=-1)


def supported_by(rows: Callable[..., Mapping[str, NDArray[np.bool_]]]) -> Callable[[Metric], Metric]:
    """Decorator of a metric: which rows its interval rests on.

    Args:
        rows: takes the metric's arrays; returns masks `[N]` by what a row has, such as `{"positive": truth}`. The
            interval is unknown where fewer than `FEWEST` patients have a row in each of them.
    """

    def keep(metric: Metric) -> Metric:
        _support[metric] = rows
        return metric

    return keep


def interval_unknown(metric: Metric, patient_ids: ArrayLike, *arrays: ArrayLike) -> str:
    """Why an interval of this metric cannot be known on these data: fewer than `FEWEST` patients carry it.

    Returns:
        Such as `1 patient with a positive`; empty where the interval can be known.

    Examples:
        >>> from medvlp.metrics import auroc
        >>> interval_unknown(auroc, range(9), [1, 0, 0, 0, 0, 0, 0, 0, 0], range(9))
        '1 patient with a positive'
    """
    patients = np.asarray(patient_ids)
    if (total := _distinct(patients)) < FEWEST:
        return _count(total, "patient")
    masks = _support[metric](*map(np.asarray, arrays)) if metric in _support else {}
    counts = {name: _distinct(patients[mask]) for name, mask in masks.items()}
    rarest = min(counts, key=lambda name: counts[name], default=None)
    return f"{_count(counts[rarest], 'patient')} with a {rarest}" if rarest and counts[rarest] < FEWEST else ""


def _with_value(values: NDArray[Any], *_: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    return {"value": ~np.isnan(values.astype(np.float64))}


@supported_by(_with_value)
def image_mean(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Mean over images of a value that each image has by itself (Dice, pointing game, CNR), for the bootstrap.

    Args:
        values: `[N]`; NaN (undefined, such as Dice without a true mask) is left out.
        weights: `[N]`, or `[N, R]` for R resamples at once; None: every image once.

    Returns:
        `[]` or `[R]`; NaN where no image is defined.

    Examples:
        >>> float(image_mean([0.5, 1.0, np.nan]))
        0.75
    """
    values_ = np.asarray(values, dtype=np.float64)
    weights_ = np.ones(len(values_)) if weights is None else np.asarray(weights, dtype=np.float64)
    defined = ~np.isnan(values_)
    total = weights_[defined].sum(axis=0)
    added = values_[defined] @ weights_[defined]
    return np.divide(added, total, out=np.full(np.shape(total), np.nan), where=total > 0)[()]


@supported_by(_with_value)
def group_mean(values: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The mean over groups (findings) of their own `image_mean`.

    Args:
        values, weights: as in `image_mean`.
        groups: `[N]`, the group of each value.

    Returns:
        `[]` or `[R]`; NaN where a resample lacks a group, since a mean over fewer groups is another quantity.

    Examples:
        >>> float(group_mean([0.0, 0.0, 1.0], ["edema", "edema", "mass"]))
        0.5
    """
    values_, groups_ = np.asarray(values), np.asarray(groups)
    weights_ = np.ones(len(values_)) if weights is None else np.asarray(weights)
    return np.mean(
        [image_mean(values_[rows], weights_[rows]) for g in np.unique(groups_) for rows in [groups_ == g]], axis=0
    )


def _patient_weights(patient_ids: ArrayLike, n: int, seed: int) -> Iterator[NDArray[np.float64]]:
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


def _on_all(metric: Metric, arrays: Sequence[ArrayLike]) -> float:
    columns = [np.asarray(a) for a in arrays]
    return float(metric(*columns, weights=np.ones((len(columns[0]), 1)))[0])


def _distinct(patient_ids: ArrayLike) -> int:
    return len(np.unique(np.asarray(patient_ids)))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
