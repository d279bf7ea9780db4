"""Where a patch is: sine and cosine codes of a 2D or 3D grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def grid_position(grid: tuple[int, ...], dim: int, like: Tensor) -> Tensor:
    """Codes `[P, dim]` of the cells of a grid, row by row, with the type and device of `like`.

    Coordinates run from 0 to 1 over each axis, so that a code names a place in the body and not a number of patches: a
    model trained at one image size keeps its places at another. Each axis takes an equal share of `dim`, half sines and
    half cosines, at geometrically spaced frequencies from half a period to 16 periods over the image (after Vaswani et
    al. 2017 and DETR, Carion et al. 2020); dimensions left over are zero.
    """
    bands = dim // (2 * len(grid))
    frequencies = math.pi * torch.logspace(0, 5, bands, base=2.0, device=like.device)
    axes = [(torch.arange(n, device=like.device) + 0.5) / n for n in grid]
    cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)  # [P, axes]
    phase = cells[..., None] * frequencies  # [P, axes, bands]
    code = torch.cat([phase.sin(), phase.cos()], dim=-1).flatten(1)
    return torch.nn.functional.pad(code, (0, dim - code.shape[1])).to(like.dtype)
