"""An estimate over several training runs: its interval covers other patients and other seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from medvlp.metrics.intervals import Estimate


def estimate_over_seeds(
    values: ArrayLike,
    resampled: ArrayLike,
    patients: int,
    seed: int = 0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    unknown: str = "",
) -> Estimate:
    r"""The mean over S runs that differ in their seed alone, with an interval over patients and seeds together.

    In resample r of R the patients are drawn once for all runs, and `a-bar_r` is the mean over the runs there. What
    other runs would have added is drawn from Student's distribution with S - 1 degrees of freedom:

    .. math:: m_r = \bar a_r + t_r \; s / \sqrt{S}, \qquad s^2 = \frac{1}{S - 1} \sum_s (a_s - \bar a)^2

    with `a_s` the runs on all patients. The interval is the percentiles 2.5 and 97.5 of `m_r`: that of the patients
    where runs agree, and the t interval `a-bar ± t s / sqrt(S)` where patients do not matter. A bootstrap of the runs
    themselves is no interval with so few: of three values it misses the mean of the runs to come one time in five, even
    with its variance corrected. `t_r` are the R quantiles at (r + 1/2) / R in a drawn order. With one run nothing is
    known of its spread, and the interval holds patients alone. Where runs err on different patients, that part is
    counted twice and the interval is a little too wide.

    For a paired difference give the differences of two methods, seed by seed and resample by resample.

    Args:
        values: `[S]`, the metric of each run on all patients.
        resampled: `[S, R]`, of each run on the same resamples of patients; NaN where undefined.
        patients: how many were drawn from.
        seed: of the order of `t_r`.
        bounds: of the metric, such as (0, 1); the interval is clipped to them.
        unknown: why the interval cannot be known, as `interval_unknown` gives it.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> print(estimate_over_seeds([0.80, 0.82, 0.81], 0.81 + 0.02 * rng.normal(size=(3, 1000)), patients=40))
        0.81 [0.78, 0.84]
    """
    values_, resampled_ = np.asarray(values, dtype=np.float64), np.asarray(resampled, dtype=np.float64)
    runs, draws = resampled_.shape
    mean = resampled_.mean(axis=0)
    if runs > 1:
        quantiles = stdtrit(runs - 1, (np.arange(draws) + 0.5) / draws)
        mean = mean + np.random.default_rng(seed).permutation(quantiles) * seed_spread(values_) / np.sqrt(runs)
    return Estimate.from_resamples(float(values_.mean()), np.clip(mean, *bounds), patients, unknown)


def seed_spread(values: ArrayLike) -> float:
    """Sample standard deviation of the runs (divisor S - 1); NaN for a single run.

    Examples:
        >>> round(seed_spread([0.80, 0.82, 0.81]), 3)
        0.01
    """
    values_ = np.asarray(values, dtype=np.float64)
    return float(values_.std(ddof=1)) if len(values_) > 1 else float("nan")
