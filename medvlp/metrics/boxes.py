"""Boxes as masks: every grounding metric asks which pixels are inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def box_mask(boxes: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of boxes as a mask.

    Args:
        boxes: `[N, 4]` or `[4]`, x0, y0, x1, y1 in pixels, x1 and y1 exclusive; parts outside the image are cut off.
        shape: rows and columns of the image.

    Returns:
        bool `[H, W]`, True at every pixel that a box touches.
    """
    mask = np.zeros(shape, dtype=bool)
    for x0, y0, x1, y1 in np.asarray(boxes, dtype=np.float64).reshape(-1, 4):
        rows = slice(max(0, int(np.floor(y0))), max(0, int(np.ceil(y1))))
        columns = slice(max(0, int(np.floor(x0))), max(0, int(np.ceil(x1))))
        mask[rows, columns] = True
    return mask
