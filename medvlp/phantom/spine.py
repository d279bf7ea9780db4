"""The middle line's bones: vertebral bodies, their processes, and the sternum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvlp.phantom.anatomy import Anatomy
from medvlp.phantom.geometry import Floats, Projection, Stack
from medvlp.phantom.shoulders import shell
from medvlp.phantom.strokes import Cloud, resample, tube

VERTEBRA = 23.0  # mm from one vertebra to the next


def spine_line(a: Anatomy, y: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Position across and depth of the spine at levels `y`."""
    t = np.clip(y / (260 * a.stature), -0.3, 1.4)
    x = a.curve * np.sin(np.pi * t)
    z = (46 + 26 * np.sin(np.pi * (0.12 + 0.8 * t)) + a.kyphosis * np.sin(np.pi * np.clip(t, 0, 1))) * a.depth
    return x, z


def bodies(a: Anatomy, projection: Projection) -> Floats:
    """Path lengths in bone through the vertebral bodies, `[H, W]`: loose inside, dense end plates, discs between."""
    y = projection.y[:, 0].astype(np.float64)
    level = (y / a.stature + 70) / VERTEBRA
    phase = level - np.floor(level)  # 0 to 1 through one vertebra and its disc
    body = np.clip(np.minimum(phase, 0.82 - phase) / 0.08 + 0.5, 0, 1)
    plates = np.exp(-((phase / 0.035) ** 2)) + np.exp(-(((phase - 0.80) / 0.035) ** 2))
    grow = np.interp(y, [-80, 0, 300], [0.72, 0.85, 1.2])
    x, z = spine_line(a, y)
    waist = 1 - 0.12 * np.sin(np.pi * np.clip(phase / 0.82, 0, 1))
    sections = np.stack([x, z, 17 * grow * waist, 14.5 * grow * waist], axis=1)
    chord = Stack(float(y[0]), float(y[1] - y[0]), sections, square=0.75).interval(projection).length
    walls = 1.0 if projection.frontal else 1.7  # seen from the side, the cortex of both flanks comes to it
    return chord * (walls * (0.22 * body + 0.3 * plates))[:, None].astype(np.float32)


def processes(a: Anatomy, p: Projection) -> Cloud:
    """Pedicles, transverse and spinous processes of every vertebra: one shape, repeated down the spine."""
    angle = np.linspace(0, 2 * np.pi, 24)
    parts = [shell(p, resample(np.array([[0, 3, 28.0], [0, 16, 48]]), p.pitch), 3.2, 1.4)]
    for s in (1.0, -1.0):
        middle = np.array([s * 10.5, 0, 18])
        loop = middle + np.stack([3.2 * np.cos(angle), 5.0 * np.sin(angle), 0 * angle], axis=1)
        parts.append(tube(p, resample(loop, p.pitch), 1.0))
        parts.append(shell(p, resample(np.stack([middle, middle + np.array([s * 18, 2, 14])]), p.pitch), 4.0, 1.2))
    shape = np.concatenate(parts)
    y = (VERTEBRA * np.arange(-3, 16) - 70 + 0.42 * VERTEBRA) * a.stature
    x, z = spine_line(a, y)
    grow = np.interp(y, [-80, 0, 300], [0.72, 0.85, 1.2])
    points = np.empty((len(y), *shape.shape))
    points[..., :3] = np.stack([x, y, z], axis=1)[:, None] + shape[:, :3] * grow[:, None, None]
    points[..., 3] = shape[:, 3] * grow[:, None] ** 3
    return points.reshape(-1, 4)


def sternum(a: Anatomy, p: Projection) -> list[Cloud]:
    """Manubrium and body, a slab behind the skin of the front."""
    step = p.pitch
    y = np.arange(48, 205, step) * a.stature
    width = np.interp(y / a.stature, [48, 62, 85, 95, 150, 205], [24, 27, 16, 14, 19, 10]) * a.breadth
    front = np.interp(y / a.stature, [48, 205], [-66, -110]) * a.depth
    count = max(8, int(40 / step))
    t = np.linspace(-1, 1, count)
    clouds = []
    layers = np.linspace(-5, 5, 3 if step > 1 else 6)
    for depth in layers:
        points = np.empty((len(y), count, 4))
        points[..., 0] = t * width[:, None]
        points[..., 1] = y[:, None]
        points[..., 2] = front[:, None] + depth
        points[..., 3] = (2 * width * step * a.stature * 4.0 / len(layers) / count)[:, None]
        clouds.append(points.reshape(-1, 4))
    return clouds
