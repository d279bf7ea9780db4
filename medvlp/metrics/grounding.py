"""Does a heat map point at the true region? Pointing game, contrast-to-noise ratio and mean IoU of one image each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


def box_mask(boxes: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of boxes as a mask.

    Args:
        boxes: `[N, 4]` or `[4]`, x0, y0, x1, y1 in pixels, x1 and y1 exclusive; parts outside the image are dropped.
        shape: rows and columns of the image.

    Returns:
        bool `[H, W]`, True at every pixel that a box touches.

    Examples:
        >>> box_mask([1, 0, 3, 1], (2, 3)).astype(int).tolist()
        [[0, 1, 1], [0, 0, 0]]
    """
    mask = np.zeros(shape, dtype=bool)
    for x0, y0, x1, y1 in np.asarray(boxes, dtype=np.float64).reshape(-1, 4):
        rows = slice(max(0, int(np.floor(y0))), max(0, int(np.ceil(y1))))
        columns = slice(max(0, int(np.floor(x0))), max(0, int(np.ceil(x1))))
        mask[rows, columns] = True
    return mask


def pointing_game(heat: ArrayLike, region: ArrayLike) -> float:
    """1 if the maximum lies in the region, 0 if not (Zhang et al. 2016, without their tolerance of 15 pixels).

    Several equal maxima are averaged, so that a constant map gets the region's fraction of the image and no more.

    Args:
        heat: `[H, W]`; NaN (outside of what the model saw) is never the maximum.
        region: bool `[H, W]`.

    Returns:
        Between 0 and 1; NaN where the region is empty or the whole map is NaN.

    Examples:
        >>> pointing_game([[0.1, 0.9]], [[False, True]])
        1.0
    """
    heat_, region_ = _arrays(heat, region)
    if not region_.any() or np.isnan(heat_).all():
        return float("nan")
    return float(region_[heat_ == np.nanmax(heat_)].mean())


def cnr(heat: ArrayLike, region: ArrayLike, *, signed: bool = True) -> float:
    r"""Contrast-to-noise ratio: how far the region stands out from the rest.

    .. math:: CNR = (\mu_{in} - \mu_{out}) / \sqrt{\sigma^2_{in} + \sigma^2_{out}}

    with population variances. Two forms are in use, and they differ for a map that avoids the region: BioViL (Boecking
    et al. 2022) prints the absolute value, MaCo (Huang et al. 2024) the signed one. Ours is the signed one.

    Args:
        heat: `[H, W]`; NaN (outside of what the model saw) is left out.
        region: bool `[H, W]`.
        signed: False for the absolute value.

    Returns:
        NaN where inside or outside is empty; 0 for a constant map.

    Examples:
        >>> cnr([[0.0, 0.0, 1.0, 3.0]], [[False, False, True, True]])
        2.0
    """
    heat_, region_ = _arrays(heat, region)
    valid = ~np.isnan(heat_)
    inside, outside = heat_[region_ & valid], heat_[~region_ & valid]
    if len(inside) == 0 or len(outside) == 0:
        return float("nan")
    difference = inside.mean() - outside.mean()
    noise = np.sqrt(inside.var() + outside.var())
    ratio = float(difference / noise) if noise > 0 else float(np.sign(difference) * np.inf if difference else 0.0)
    return ratio if signed else abs(ratio)


def miou(heat: ArrayLike, region: ArrayLike, thresholds: Sequence[float] = THRESHOLDS) -> float:
    """Mean over several thresholds of the IoU between `heat > threshold` and the region, so that none is fitted.

    The map is first stretched to between -1 and 1, as in the public evaluation of MS-CXR (Boecking et al. 2022;
    thresholds 0.1 to 0.5).

    Args:
        heat: `[H, W]`; NaN (outside of what the model saw) counts as not predicted.
        region: bool `[H, W]`.
        thresholds: on the stretched map.

    Returns:
        Between 0 and 1; 0 for a constant map; NaN where the region is empty or the whole map is NaN.

    Examples:
        >>> miou([[0.0, 0.2, 1.0, 1.0]], [[False, False, False, True]])
        0.5
    """
    heat_, region_ = _arrays(heat, region)
    if not region_.any() or np.isnan(heat_).all():
        return float("nan")
    low, high = np.nanmin(heat_), np.nanmax(heat_)
    if high == low:
        return 0.0
    stretched = np.nan_to_num(2 * (heat_ - low) / (high - low) - 1, nan=-np.inf)
    predicted = [stretched > t for t in thresholds]
    return float(np.mean([(p & region_).sum() / (p | region_).sum() for p in predicted]))


def _arrays(heat: ArrayLike, region: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.asarray(heat, dtype=np.float64), np.asarray(region, dtype=bool)
