"""`Estimate`: a value with its 95 % interval, and what stands behind it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric on the data as they are, and its interval from resampled patients.

    Attributes:
        value: on all rows; NaN where undefined.
        low, high: bounds of the 95 % interval; NaN where no resample was defined.
        n: patients that were resampled.
        skipped: resamples that left the metric undefined and were not used.
    """

    value: float
    low: float
    high: float
    n: int
    skipped: int = 0

    @classmethod
    def from_resamples(cls, value: float, resampled: NDArray[np.float64], n: int) -> Estimate:
        """A value with the percentiles 2.5 and 97.5 of its resamples `[R]`; NaN ones are skipped and counted."""
        defined = resampled[np.isfinite(resampled)]
        low, high = np.percentile(defined, (2.5, 97.5)) if len(defined) else (np.nan, np.nan)
        return cls(value, float(low), float(high), n, len(resampled) - len(defined))

    def __str__(self) -> str:
        return self.text()

    def text(self, digits: int = 2, scale: float = 1.0) -> str:
        """`0.91 [0.88, 0.94]`; `undefined` where there is no value; `scale=100` for per cent."""
        if math.isnan(self.value):
            return "undefined"
        value, low, high = (f"{scale * v:.{digits}f}" for v in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; NaN becomes None, since JSON has no NaN."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}
