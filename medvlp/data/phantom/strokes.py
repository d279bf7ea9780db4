"""Thin things (ribs, vessels, tubes, wires) as clouds of small volumes that are deposited on the picture.

A cloud is `[N, 4]`: x, y, z in millimetres and a volume in cubic millimetres. Its projection is a map of path lengths:
volume divided by the area of a pixel. A tube seen end-on is therefore dense, as on a real radiograph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.data.phantom.geometry import Floats, Projection

Cloud = NDArray[np.float64]


def deposit(projection: Projection, cloud: Cloud) -> Floats:
    """Path lengths `[H, W]` in millimetres of a cloud, each point spread over its four nearest pixels."""
    height, width = projection.shape
    rows, columns = projection.pixels(cloud[:, :3])
    inside = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    rows, columns, volume = rows[inside], columns[inside], cloud[inside, 3]
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    down, right = rows - top, columns - left
    index = top * width + left
    lower = volume * down
    upper = volume - lower
    total = np.zeros(height * width)
    for shift, weight in (
        (0, upper * (1 - right)),
        (1, upper * right),
        (width, lower * (1 - right)),
        (width + 1, lower * right),
    ):
        total += np.bincount(index + shift, weight, minlength=height * width)
    return (total / projection.pitch**2).reshape(height, width).astype(np.float32)


def spline(points: ArrayLike, step: float) -> NDArray[np.float64]:
    """A smooth curve (centripetal Catmull-Rom) through points `[K, 3]`, resampled every `step` mm, `[N, 3]`."""
    points = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None, None]
    p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    pieces = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    curve = np.concatenate([pieces.transpose(1, 0, 2).reshape(-1, 3), points[-1:]])
    return resample(curve, step)


def resample(curve: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Points every `step` mm along a polyline `[K, 3]`, `[N, 3]`."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(2, int(np.ceil(length[-1] / step)) + 1))
    return np.stack([np.interp(at, length, curve[:, k]) for k in range(3)], axis=1)


def disc(radius: float, step: float) -> NDArray[np.float64]:
    """Points that fill a disc evenly (sunflower seeds), `[M, 2]`, about `step` mm apart."""
    count = max(1, round(np.pi * (radius / step) ** 2))
    k = np.arange(count)
    distance = radius * np.sqrt((k + 0.5) / count)
    angle = k * np.pi * (3 - np.sqrt(5))
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


def frames(curve: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two unit vectors across a curve `[N, 3]` at each of its points, `[N, 3]` each."""
    along = np.gradient(curve, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    reference = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(along, reference)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(along, first)


def tube(curve: NDArray[np.float64], radius: float, step: float, inner: float = 0.0) -> Cloud:
    """A round tube about a resampled curve; `inner` is the radius of its empty core."""
    section = disc(radius, max(step, radius / 6))
    if inner:
        ring = max(8, int(2 * np.pi * radius / step))
        angle = np.arange(ring) * 2 * np.pi / ring
        section = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (radius + inner) / 2
    return sweep(curve, section, np.pi * (radius**2 - inner**2))


def sweep(curve: NDArray[np.float64], section: NDArray[np.float64], area: float) -> Cloud:
    """A section `[M, 2]` of `area` square mm carried along a curve `[N, 3]`."""
    first, second = frames(curve)
    points = curve[:, None] + section[None, :, :1] * first[:, None] + section[None, :, 1:] * second[:, None]
    length = np.linalg.norm(np.gradient(curve, axis=0), axis=1)
    volume = np.repeat(length[:, None] * area / len(section), len(section), axis=1)
    return np.concatenate([points, volume[..., None]], axis=2).reshape(-1, 4)


def join(clouds: Sequence[Cloud]) -> Cloud:
    """All clouds as one; an empty cloud where there are none."""
    return np.concatenate(clouds) if clouds else np.zeros((0, 4))
