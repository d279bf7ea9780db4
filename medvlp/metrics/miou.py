"""Mean IoU of a heat map over several thresholds, so that no threshold is fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


def miou(heat: ArrayLike, region: ArrayLike, thresholds: Sequence[float] = THRESHOLDS) -> float:
    """Mean over the thresholds of the IoU between `heat > threshold` and the region.

    The map is first stretched to between -1 and 1, as in the public evaluation of MS-CXR (thresholds 0.1 to 0.5).

    Args:
        heat: `[H, W]`; NaN (outside of what the model saw) counts as not predicted.
        region: bool `[H, W]`.

    Returns:
        Between 0 and 1; 0 for a constant map; NaN where the region is empty or the whole map is NaN.
    """
    heat_, region_ = np.asarray(heat, dtype=np.float64), np.asarray(region, dtype=bool)
    if not region_.any() or np.isnan(heat_).all():
        return float("nan")
    low, high = np.nanmin(heat_), np.nanmax(heat_)
    if high == low:
        return 0.0
    stretched = np.nan_to_num(2 * (heat_ - low) / (high - low) - 1, nan=-np.inf)
    predicted = [stretched > t for t in thresholds]
    return float(np.mean([(p & region_).sum() / (p | region_).sum() for p in predicted]))
