"""Where voxels lie: affines from array indices `(a, b, c, 1)` to RAS millimeters, axis order, shear.

RAS: x grows to the patient's right, y to the front, z to the head. DICOM writes LPS (PS3.3 C.7.6.2.1.1), so x and y
change sign on the way in.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]
AXES = "SAR"  # along [D, H, W] of every volume that is returned: slices to the head, rows to the front, columns right
_WORLD = {"R": 0, "A": 1, "S": 2}
MAX_SHEAR_DEGREES = 0.2  # below it the last of 300 slices of 1 mm is off by one pixel


def axis_order(affine: Affine) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """How to turn an array so that its axes run closest to `AXES`.

    Returns:
        For each new axis the old one it is, and whether it has to be flipped.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    wanted = np.array([directions[_WORLD[code]] for code in AXES])  # [new axis, old axis]: cosine between them
    order = max(permutations(range(3)), key=lambda old: sum(abs(wanted[new, old[new]]) for new in range(3)))
    flips = tuple(bool(wanted[new, order[new]] < 0) for new in range(3))
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def reorient(array: NDArray[Any], affine: Affine) -> tuple[NDArray[Any], Affine]:
    """A view of `array` with its axes along `AXES`, and the affine of that view."""
    order, flips = axis_order(affine)
    view = array.transpose(order)[tuple(slice(None, None, -1 if flip else None) for flip in flips)]
    return view, reorient_affine(affine, array.shape)


def reorient_affine(affine: Affine, shape: tuple[int, ...]) -> Affine:
    """The affine of an array of `shape` after `reorient`."""
    order, flips = axis_order(affine)
    result = affine[:, [*order, 3]].copy()
    for new, flip in enumerate(flips):
        if flip:
            result[:3, 3] += result[:3, new] * (shape[order[new]] - 1)
            result[:3, new] *= -1
    return result


def restore_axes(out: NDArray[Any], affine: Affine) -> NDArray[Any]:
    """The inverse view: `out` has its axes along `AXES`; the view has the axes that `affine` describes, for writing."""
    order, flips = axis_order(affine)
    unflipped = out[tuple(slice(None, None, -1 if flip else None) for flip in flips)]
    return unflipped.transpose(np.argsort(order))


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Millimeters along each axis."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return float(lengths[0]), float(lengths[1]), float(lengths[2])


def shear_degrees(affine: Affine) -> float:
    """The largest deviation of an angle between two axes from 90 degrees."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.abs(directions.T @ directions - np.eye(3)).max()
    return float(np.degrees(np.arcsin(min(1.0, cosines))))


def same_grid(one: Affine, other: Affine, shape: tuple[int, ...]) -> bool:
    """Two grids of `shape` put every voxel at the same position, within a tenth of a voxel."""
    return grid_difference(one, other, shape) <= 0.1 * min(spacing_of(one))


def grid_difference(one: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """Millimeters by which two affines of an array of `shape` differ at the corner where they differ most."""
    corners = np.array([[a, b, c, 1] for a in (0, 1) for b in (0, 1) for c in (0, 1)], np.float64)
    corners[:, :3] *= np.array(shape) - 1
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())


def deskew(
    array: NDArray[np.float32], affine: Affine, background: float, padding: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], Affine, NDArray[np.bool_]]:
    """Resample a sheared volume (gantry tilt, sheared sform) onto a grid of right angles, linearly.

    Axes 1 and 2, which lie in the slices, keep their directions; axis 0 becomes their normal. The grid grows until it
    holds every voxel. Voxels outside and padding weigh nothing: what is beside them is interpolated from the others.

    Args:
        array: `[D, H, W]`, slices along axis 0.
        affine: of `array`.
        background: value of voxels that are mostly outside or padding.
        padding: bool `[D, H, W]`, voxels of `array` that hold no measurement.

    Returns:
        The array, its affine, and where it is `background`.
    """
    from scipy.ndimage import affine_transform

    slices, rows, columns = affine[:3, :3].T
    e2 = columns / np.linalg.norm(columns)
    e1 = rows - (rows @ e2) * e2
    e1 /= np.linalg.norm(e1)
    e0 = np.cross(e1, e2)
    e0 *= np.sign(e0 @ slices)
    straight = np.eye(4)
    straight[:3, :3] = np.stack([e0 * (e0 @ slices), e1 * (e1 @ rows), e2 * np.linalg.norm(columns)], axis=1)
    straight[:3, 3] = affine[:3, 3]
    to_straight = np.linalg.inv(straight) @ affine
    corners = np.array([[a, b, c, 1] for a in (0, 1) for b in (0, 1) for c in (0, 1)], np.float64)
    corners[:, :3] *= np.array(array.shape) - 1
    ends = (corners @ to_straight.T)[:, :3]
    low, high = np.floor(ends.min(0) + 1e-4), np.ceil(ends.max(0) - 1e-4)
    straight[:3, 3] += straight[:3, :3] @ low
    mapping = np.linalg.inv(affine) @ straight
    shape = tuple(int(n) for n in high - low + 1)

    def resampled(values: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = affine_transform(
            values, mapping[:3, :3], mapping[:3, 3], output_shape=shape, order=1, mode="grid-constant", cval=0.0
        )
        return result

    valid = np.ones(array.shape, np.float32) if padding is None else (~padding).astype(np.float32)
    weight = resampled(valid)
    result = resampled(array * valid)
    outside = weight < 0.5
    np.divide(result, weight, out=result, where=~outside)
    result[outside] = background
    return result, straight, outside
