"""`resample`: an image on a grid of other spacing, its field of view kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from medvlp.io.image import Image


def resample(image: Image, spacing: Sequence[float], *, labels: bool = False) -> Image:
    """Resample along every axis.

    Linear where the grid gets finer; where it gets coarser, the triangle grows with the new voxels, so that nothing
    thin falls between them. The centre of the field of view stays where it is.

    Args:
        image: `spacing` has to be known.
        spacing: millimetres along each axis of the new array.
        labels: the values are names: take the nearest voxel and mix nothing.

    Returns:
        Image whose axes have `round(n * old / new)` voxels, at least one.

    Raises:
        ValueError: the spacing of the image is unknown, or the new one has not one positive value an axis.
    """
    if image.spacing is None:
        raise ValueError("the image does not know its spacing, so it cannot be resampled to millimetres")
    if len(spacing) != image.array.ndim or min(spacing) <= 0:
        raise ValueError(f"spacing needs {image.array.ndim} positive values; got {tuple(spacing)}")
    array, affine = image.array, image.affine.copy() if image.affine is not None else None
    for axis, (old, new) in enumerate(zip(image.spacing, spacing, strict=True)):
        if new == old:
            continue
        count = array.shape[axis]
        weights, first = _weights(count, max(1, round(count * old / new)), new / old, labels)
        array = _along(array, axis, weights)
        if affine is not None:
            affine[:3, 3] += affine[:3, axis] * first
            affine[:3, axis] *= new / old
    step = f"resampled to {' x '.join(f'{value:g}' for value in spacing)} mm"
    return replace(
        image, array=array, spacing=tuple(float(value) for value in spacing), affine=affine, steps=(*image.steps, step)
    )


def _weights(count: int, wanted: int, ratio: float, labels: bool) -> tuple[sparse.csr_array, float]:
    """Weights `[wanted, count]` of the old voxels in the new ones, and where the first new voxel lies among the old."""
    centers = (np.arange(wanted) - (wanted - 1) / 2) * ratio + (count - 1) / 2
    if labels:
        nearest = np.clip(np.floor(centers + 0.5), 0, count - 1).astype(np.int64)
        ones = np.ones(wanted, np.float32)
        return sparse.csr_array((ones, (np.arange(wanted), nearest)), shape=(wanted, count)), float(centers[0])
    reach = max(1.0, ratio)
    around = np.arange(-np.ceil(reach), np.ceil(reach) + 1)
    old = np.round(centers)[:, None] + around
    weight = np.maximum(0, 1 - np.abs(old - centers[:, None]) / reach)
    weight *= (old >= 0) & (old < count)
    inside = weight.sum(1, keepdims=True)
    weight /= inside
    rows = np.repeat(np.arange(wanted), len(around))
    columns = np.clip(old, 0, count - 1).astype(np.int64).ravel()
    shape = (wanted, count)
    return sparse.csr_array((weight.astype(np.float32).ravel(), (rows, columns)), shape=shape), float(centers[0])


def _along(array: NDArray[np.float32], axis: int, weights: sparse.csr_array) -> NDArray[np.float32]:
    """Multiply one axis by `weights`."""
    front = np.moveaxis(array, axis, 0)
    flat = np.ascontiguousarray(front).reshape(front.shape[0], -1)
    result = (weights @ flat).reshape(weights.shape[0], *front.shape[1:])
    return np.ascontiguousarray(np.moveaxis(result, 0, axis), np.float32)
