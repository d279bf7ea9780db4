"""A second view of radiographs that are on the device already: another window, angle and tone, and never a flip."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def second_view(
    images: Tensor, area: tuple[float, float] = (0.6, 1.0), degrees: float = 10.0, tone: float = 0.3
) -> Tensor:
    """The same radiographs, cut, turned and toned otherwise; left stays left.

    What a loader does to an image, `Augment` does better and ahead of time; this is for methods that compare two views
    of one image, and costs one resampling.

    Args:
        images: `[B, 1, H, W]`, normalized.
        area: share of the image that is kept, drawn between the two. degrees: rotation is drawn between minus and plus
            this. tone: contrast is drawn between 1 - tone and 1 + tone, and brightness between -tone and tone standard
            deviations of the image.

    Returns:
        `[B, 1, H, W]`; what comes in from outside repeats the border.

    Raises:
        ValueError: these are no radiographs.
    """
    if images.ndim != 4:
        raise ValueError(f"a second view is made of radiographs [B, 1, H, W]; got {list(images.shape)}")
    drawn = torch.rand(6, len(images), device=images.device)
    side = (area[0] + (area[1] - area[0]) * drawn[0]).sqrt()
    angle = math.radians(degrees) * (2 * drawn[1] - 1)
    cos, sin = side * angle.cos(), side * angle.sin()
    shift_x, shift_y = (1 - side) * (2 * drawn[2] - 1), (1 - side) * (2 * drawn[3] - 1)
    window = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(window, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    mean = moved.mean((1, 2, 3), keepdim=True)
    spread = moved.std((1, 2, 3), keepdim=True)
    gain, offset = (tone * (2 * drawn[i] - 1).view(-1, 1, 1, 1) for i in (4, 5))
    return (moved - mean) * (1 + gain) + mean + offset * spread
