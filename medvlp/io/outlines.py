"""A closed outline -> the voxels inside it, by the even-odd rule at voxel centres (PS3.3 C.8.8.6.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvlp.io.errors import Unreadable


def fill_outline(region: NDArray[np.bool_], voxels: NDArray[np.float64]) -> bool:
    """Turn over the voxels of `region` inside a planar outline, so that an outline within another makes a hole.

    Args:
        region: `[D, H, W]`, changed in place.
        voxels: `[N, 3]` corners in array coordinates.

    Returns:
        False where the outline lies in no slice of the volume.

    Raises:
        Unreadable: the outline lies across the slices along every axis.
    """
    spread = np.ptp(voxels, axis=0)
    axis = int(spread.argmin())
    if spread[axis] > 0.5:
        raise Unreadable("an outline lies across the image's slices: the image is not the one it was drawn on")
    at = round(float(voxels[:, axis].mean()))
    if not 0 <= at < region.shape[axis]:
        return False
    plane = np.moveaxis(region, axis, 0)[at]
    plane ^= inside(np.delete(voxels, axis, axis=1), plane.shape)
    return True


def inside(corners: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels `[H, W]` whose centre lies inside a polygon.

    A row's pixels are inside right of an odd number of edges, so every crossing turns over the rest of its row.

    Args:
        corners: `[N, 2]`, row and column.
        shape: rows and columns.
    """
    turns = np.zeros((shape[0], shape[1] + 1), np.uint8)
    for (row, column), (next_row, next_column) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = sorted((row, next_row))
        rows = np.arange(max(0, int(np.ceil(low))), min(shape[0], int(np.ceil(high))))
        if rows.size:
            crossing = column + (rows - row) * (next_column - column) / (next_row - row)
            columns = np.clip(np.floor(crossing) + 1, 0, shape[1]).astype(np.int64)
            turns[rows, columns] ^= 1
    return np.bitwise_xor.accumulate(turns, axis=1)[:, : shape[1]].astype(np.bool_)
