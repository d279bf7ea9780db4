"""`resample`: an image on a grid of other spacing, its field of view kept, or cut and padded around its center."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from medvlp.io.image import Image


def resample(
    image: Image,
    spacing: Sequence[float],
    *,
    labels: bool = False,
    shape: Sequence[int] | None = None,
    fill: float = 0.0,
) -> Image:
    """Resample along every axis.

    Linear where the grid gets finer; where it gets coarser, the triangle grows with the new voxels, so that nothing
    thin falls between them. The center of the field of view stays where it is. Padding (`Image.padding`) weighs
    nothing: beside it a voxel is made of the others, and where most of it is padding it stays padding.

    Args:
        image: `spacing` has to be known.
        spacing: millimeters along each axis of the new array.
        labels: the values are names: take the nearest voxel and mix nothing.
        shape: voxels along each axis of the new array, around the center; None keeps the field of view.
        fill: the value of new voxels whose center lies outside the image.

    Returns:
        Image of `shape`, or whose axes have `round(n * old / new)` voxels, at least one.

    Raises:
        ValueError: the spacing of the image is unknown, or the new one has not one positive value an axis, or `shape`.

    Examples:
        >>> image = Image(np.ones((4, 4), np.float32), spacing=(1.0, 1.0))
        >>> resample(image, (2.0, 0.5)).shape
        (2, 8)
    """
    axes = image.array.ndim
    if image.spacing is None:
        raise ValueError("the image does not know its spacing, so it cannot be resampled to millimeters")
    if len(spacing) != axes or min(spacing) <= 0:
        raise ValueError(f"spacing needs {axes} positive values; got {tuple(spacing)}")
    if shape is not None and (len(shape) != axes or min(shape) < 1):
        raise ValueError(f"shape needs {axes} positive numbers; got {tuple(shape)}")
    array, affine = image.array, image.affine.copy() if image.affine is not None else None
    valid = None if image.padding is None else (~image.padding).astype(np.float32)
    level = np.float32(0) if valid is None else array[image.padding].min(initial=np.inf)
    if valid is not None and not labels:
        array = array * valid
    edges: list[NDArray[np.bool_] | None] = []
    for axis, (old, new) in enumerate(zip(image.spacing, spacing, strict=True)):
        count = array.shape[axis]
        wanted = max(1, round(count * old / new)) if shape is None else shape[axis]
        if new == old and wanted == count:
            edges.append(None)
            continue
        weights, first, outside = _weights(count, wanted, new / old, labels)
        array = _along(array, axis, weights)
        edges.append(outside)
        if valid is not None:
            valid = _along(valid, axis, weights)
        if affine is not None:
            affine[:3, 3] += affine[:3, axis] * first
            affine[:3, axis] *= new / old
    padding = None
    if valid is not None:
        padding = valid < 0.5
        if not labels:
            np.divide(array, valid, out=array, where=~padding)
            array[padding] = level
    for axis, edge in enumerate(edges):
        if edge is not None and edge.any():
            np.moveaxis(array, axis, 0)[edge] = fill
    step = f"resampled to {' x '.join(f'{value:g}' for value in spacing)} mm"
    return replace(
        image,
        array=array,
        spacing=tuple(float(value) for value in spacing),
        affine=affine,
        steps=(*image.steps, step),
        padding=padding,
    )


def _weights(count: int, wanted: int, ratio: float, labels: bool) -> tuple[sparse.csr_array, float, NDArray[np.bool_]]:
    """Weights `[wanted, count]` of the old voxels in the new ones, where the first new voxel lies among the old, and
    which of the new ones lie outside, `[wanted]`: their weights mean nothing."""
    centers = (np.arange(wanted) - (wanted - 1) / 2) * ratio + (count - 1) / 2
    outside = (centers < -0.5) | (centers > count - 0.5)
    if labels:
        nearest = np.clip(np.floor(centers + 0.5), 0, count - 1).astype(np.int64)
        ones = np.ones(wanted, np.float32)
        table = sparse.csr_array((ones, (np.arange(wanted), nearest)), shape=(wanted, count))
        return table, float(centers[0]), outside
    reach = max(1.0, ratio)
    around = np.arange(-np.ceil(reach), np.ceil(reach) + 1)
    old = np.round(centers)[:, None] + around
    weight = np.maximum(0, 1 - np.abs(old - centers[:, None]) / reach)
    weight *= (old >= 0) & (old < count) & ~outside[:, None]
    weight /= np.where(outside, 1.0, weight.sum(1))[:, None]
    rows = np.repeat(np.arange(wanted), len(around))
    columns = np.clip(old, 0, count - 1).astype(np.int64).ravel()
    shape = (wanted, count)
    table = sparse.csr_array((weight.astype(np.float32).ravel(), (rows, columns)), shape=shape)
    return table, float(centers[0]), outside


def _along(array: NDArray[np.float32], axis: int, weights: sparse.csr_array) -> NDArray[np.float32]:
    """Multiply one axis by `weights`; slice by slice where it is not the first, for whole volumes turn slowly."""
    if axis == 0:
        flat = np.ascontiguousarray(array).reshape(len(array), -1)
        return np.asarray(weights @ flat, np.float32).reshape(weights.shape[0], *array.shape[1:])
    if array.ndim == 2:
        return np.ascontiguousarray((weights @ np.ascontiguousarray(array.T)).T, np.float32)
    shape = [weights.shape[0] if i == axis else n for i, n in enumerate(array.shape)]
    result: NDArray[np.float32] = np.empty(shape, np.float32)
    for index, part in enumerate(array):
        result[index] = _along(part, axis - 1, weights)
    return result
