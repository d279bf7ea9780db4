"""Gaussian smoothing of heat maps: grounding looks for a place, and a single patch is noise."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_smooth(maps: Tensor, sigma: float) -> Tensor:
    """Maps `[..., H, W]` smoothed by a Gaussian, of the same shape.

    As `scipy.ndimage.gaussian_filter` does by default: the kernel is cut at 4 sigma, and beyond its border a map goes
    on as its mirror image. So the mean of a map is kept, and a constant one stays. BioViL smooths its maps of 15 x 15
    patches with 1.5 before it resizes them (Boecking et al., ECCV 2022; hi-ml).

    Args:
        maps: of any number of leading dimensions.
        sigma: in cells of the map; 0 leaves it as it is.
    """
    if sigma == 0:
        return maps
    down, across = (_kernel(size, sigma).to(maps) for size in maps.shape[-2:])
    return down @ maps @ across.t()


def _kernel(size: int, sigma: float) -> Tensor:
    """`[size, size]`: what each cell takes of each other one."""
    reach = int(4 * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / sigma).double().square())
    mirrored = (torch.arange(size)[:, None] + offsets) % (2 * size)
    source = torch.minimum(mirrored, 2 * size - 1 - mirrored)
    share = (weights / weights.sum()).expand(size, -1)
    return torch.zeros(size, size, dtype=weights.dtype).scatter_add_(1, source, share)
