"""Thin structures (ribs, vessels, tubes, wires) as weighted points that are projected onto the image.

A cloud is `[N, 4]`: x, y, z in millimeters and a volume in cubic millimeters. Its projection is a map of path lengths:
volume divided by the area of a pixel. A tube seen end-on is therefore dense, as on a real radiograph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.phantom.geometry import Floats, Projection

PointCloud = NDArray[np.float64]

CHUNK = 8192  # points at a time, so that what is computed of them stays in the cache: three times as fast


def project_points(projection: Projection, *clouds: PointCloud) -> Floats:
    """Path lengths `[H, W]` in millimeters of clouds, each point spread over its four nearest pixels."""
    height, width = projection.shape
    total = np.zeros(height * width)
    for part in (cloud[first : first + CHUNK] for cloud in clouds for first in range(0, len(cloud), CHUNK)):
        rows, columns = projection.pixels(part)
        inside = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
        volume = np.where(inside, part[:, 3], 0.0)
        rows, columns = np.where(inside, rows, 0.0), np.where(inside, columns, 0.0)
        top, left = rows.astype(np.int64), columns.astype(np.int64)
        index, right = top * width + left, columns - left
        lower = volume * (rows - top)
        upper = volume - lower
        lower_right, upper_right = lower * right, upper * right
        np.add.at(total, index, upper - upper_right)
        np.add.at(total, index + 1, upper_right)
        np.add.at(total, index + width, lower - lower_right)
        np.add.at(total, index + width + 1, lower_right)
    return (total / projection.pitch**2).reshape(height, width).astype(np.float32)


def spline(points: ArrayLike, step: float) -> NDArray[np.float64]:
    """A smooth curve (Catmull-Rom) through points `[K, 3]`, resampled every `step` mm, `[N, 3]`."""
    points = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None, None]
    p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    bent = (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    pieces = 0.5 * (2 * p1 + (p2 - p0) * t + bent)
    curve = np.concatenate([pieces.transpose(1, 0, 2).reshape(-1, 3), points[-1:]])
    return resample_curve(curve, step)


def resample_curve(curve: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Points every `step` mm along a polyline `[K, 3]`, `[N, 3]`."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(2, int(np.ceil(length[-1] / step)) + 1))
    return np.stack([np.interp(at, length, curve[:, k]) for k in range(3)], axis=1)


def tube_section(radius: float, step: float, inner: float = 0.0, core: float = 0.0) -> NDArray[np.float64]:
    """The round section of a tube as points with weights, `[M, 3]`; the weights sum to 1.

    The points lie evenly across, at most `step` apart, weighted by the chord. In depth they alternate
    between near and far wall, or fill a solid tube.

    Args:
        inner: radius of the core, 0 for a solid tube.
        core: density of the core relative to the wall.
    """
    count = max(1, int(np.ceil(2 * radius / step)))
    index = np.arange(count)
    v = (index + 0.5) / count * 2 - 1
    chord = np.sqrt(1 - v**2)
    weight = chord - (1 - core) * np.sqrt(np.maximum((inner / radius) ** 2 - v**2, 0))
    deep = np.where(index % 2, 0.7, -0.7) if inner else (index * 0.618034) % 1 * 2 - 1
    return np.stack([v * radius, deep * chord * radius, weight / weight.sum()], axis=1)


def tube_frames(
    along: NDArray[np.float64], beam: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For directions `[N, 3]`, the unit vectors across them in the image and in depth, `[N, 3]` each.

    The second lies along the beam where the direction is square to it: only what is seen end-on shows its depth.
    """
    first = _cross(along, np.broadcast_to(beam, along.shape))
    end_on = (first * first).sum(axis=1) < 1e-6 * (along * along).sum(axis=1)
    if end_on.any():
        first[end_on] = _cross(along[end_on], np.broadcast_to([0.0, 1.0, 0.0], along[end_on].shape))
    second = _cross(along, first)
    for vector in (first, second):
        vector /= np.maximum(np.sqrt((vector * vector).sum(axis=1, keepdims=True)), 1e-9)
    return first, second


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross products of `[N, 3]`; a third of the time of `np.cross`, which counts for many short curves."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    out = np.empty(a.shape)
    out[:, 0], out[:, 1], out[:, 2] = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    return out


def tube(
    projection: Projection,
    curve: NDArray[np.float64],
    radius: float,
    inner: float = 0.0,
    swell: ArrayLike | None = None,
) -> PointCloud:
    """A round tube about a resampled curve `[N, 3]`.

    Args:
        radius: of the tube; `inner` of its empty core.
        swell: factor of the radius at each point of the curve, `[N]`.
    """
    factor = np.ones(len(curve)) if swell is None else np.asarray(swell, dtype=np.float64)
    across = tube_section(radius, projection.pitch / factor.max(), inner)
    along = np.gradient(curve, axis=0)
    first, second = tube_frames(along, projection.beam)
    points = np.empty((len(curve), len(across), 4))
    offset = across[:, :1] * first[:, None] + across[:, 1:2] * second[:, None]
    points[..., :3] = curve[:, None] + offset * factor[:, None, None]
    area = np.pi * (radius**2 - inner**2) * (factor if inner else factor**2)
    points[..., 3] = (np.sqrt((along * along).sum(axis=1)) * area)[:, None] * across[:, 2]
    return points.reshape(-1, 4)


def rods(
    projection: Projection,
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    radius: NDArray[np.float64],
    bow: NDArray[np.float64] | float = 0.0,
) -> PointCloud:
    """Many short tubes at once, between points `[N, 3]` with radii `[N]`; `bow` `[N, 3]` bends their middles."""
    if len(starts) == 0:
        return np.zeros((0, 4))
    span = np.linalg.norm(ends - starts, axis=1)
    t = np.linspace(0, 1, max(3, int(span.max() / projection.pitch) + 1))[:, None]
    line = (
        starts[:, None]
        + (ends - starts)[:, None] * t
        + np.reshape(bow, (-1, 1, 3) if np.ndim(bow) else ()) * (4 * t * (1 - t))
    )
    across = tube_section(float(radius.max()), projection.pitch)
    first, second = tube_frames(ends - starts, projection.beam)
    relative = (radius / radius.max())[:, None, None, None]
    offset = across[:, :1] * first[:, None, None] + across[:, 1:2] * second[:, None, None]
    points = np.empty((len(starts), len(t), len(across), 4))
    points[..., :3] = line[:, :, None] + relative * offset
    points[..., 3] = (np.pi * radius**2 * span / (len(t) - 1))[:, None, None] * across[:, 2]
    return points.reshape(-1, 4)
