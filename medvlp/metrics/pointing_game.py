"""Pointing game: is the hottest point of the heat map inside the true region?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def pointing_game(heat: ArrayLike, region: ArrayLike) -> float:
    """1 if the maximum lies in the region, 0 if not (Zhang et al. 2016, without their tolerance of 15 pixels).

    Several equal maxima share the point, so that a constant map gets the region's share of the image and no more.

    Args:
        heat: `[H, W]`; NaN (outside of what the model saw) is never the maximum.
        region: bool `[H, W]`.

    Returns:
        Between 0 and 1; NaN where the region is empty or the whole map is NaN.
    """
    heat_, region_ = np.asarray(heat, dtype=np.float64), np.asarray(region, dtype=bool)
    if not region_.any() or np.isnan(heat_).all():
        return float("nan")
    return float(region_[heat_ == np.nanmax(heat_)].mean())
