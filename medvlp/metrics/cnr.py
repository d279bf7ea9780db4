"""Contrast-to-noise ratio of a heat map: how far the region stands out from the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def cnr(heat: ArrayLike, region: ArrayLike, *, signed: bool = True) -> float:
    r"""`(\mu_in - \mu_out) / \sqrt{\sigma^2_in + \sigma^2_out}` with population variances.

    Two forms are in use, and they differ for a map that avoids the region: BioViL prints the absolute value, MaCo the
    signed one. Ours is the signed one; `signed=False` gives the other.

    Args:
        heat: `[H, W]`; NaN (outside of what the model saw) is left out.
        region: bool `[H, W]`.

    Returns:
        NaN where inside or outside is empty; 0 for a constant map.
    """
    heat_, region_ = np.asarray(heat, dtype=np.float64), np.asarray(region, dtype=bool)
    seen = ~np.isnan(heat_)
    inside, outside = heat_[region_ & seen], heat_[~region_ & seen]
    if len(inside) == 0 or len(outside) == 0:
        return float("nan")
    difference = inside.mean() - outside.mean()
    noise = np.sqrt(inside.var() + outside.var())
    ratio = float(difference / noise) if noise > 0 else float(np.sign(difference) * np.inf if difference else 0.0)
    return ratio if signed else abs(ratio)
