"""Bones: ribs, clavicles, shoulder girdle, sternum and spine, as clouds of cortical bone (mm cubed)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.data.phantom.anatomy import SIDES, Anatomy, Side, sign
from medvlp.data.phantom.geometry import Floats, Projection, Stack
from medvlp.data.phantom.organs import hemithorax
from medvlp.data.phantom.strokes import Cloud, join, resample, spline, tube

RIB_SPACING = 22.0
VERTEBRA = 23.0


@dataclass(frozen=True)
class Break:
    """A fracture of one rib: where along it (radians from the back), how far the ends part, how much callus."""

    side: Side
    rib: int
    angle: float
    offset: float
    callus: float


def rib_curve(a: Anatomy, side: Side, rib: ArrayLike, angle: ArrayLike) -> NDArray[np.float64]:
    """Points `[..., 3]` on the middle line of ribs 1 to 12, at angles from the back (0) over the side to the front (pi)."""
    rib, angle = np.broadcast_arrays(np.asarray(rib, dtype=np.float64), np.asarray(angle, dtype=np.float64))
    drop = np.interp(rib, [1, 2, 3, 6, 10, 12], [44, 66, 84, 112, 120, 104]) * a.rib_drop
    back = -9 + RIB_SPACING * (rib - 1) + 0.35 * np.maximum(0, rib - 6) ** 1.4
    y = (back + drop * (angle / 2.4) ** 1.3) * a.stature
    sections = hemithorax(a, side).at(np.clip(y, 2 * a.stature, 320 * a.stature))
    cx, cz, ax, az = sections.T.reshape(4, *y.shape)
    sine, cosine = np.sin(angle), np.cos(angle)
    corner = (np.abs(sine) ** 2.6 + np.abs(cosine) ** 2.6) ** (1 / 2.6)
    x = sign(side) * (np.abs(cx) + ax + 3.5) * sine / corner
    return np.stack([x, y, cz + (az + 3.5) * cosine / corner], axis=-1)


_FIRST = 0.17  # radians from the back where a rib leaves its vertebra
_LAST = np.array([2.45, 2.38, 2.40, 2.42, 2.44, 2.46, 2.48, 2.42, 2.30, 2.10, 1.55, 1.00])  # where its bone ends


def ribs(a: Anatomy, step: float, breaks: Sequence[Break] = ()) -> Cloud:
    """All 24 ribs as flat tubes: a shell of cortex, and little within."""
    count, ring = max(40, int(330 * a.breadth / step)), max(15, int(30 / step))
    theta = _FIRST + (_LAST[:, None] - _FIRST) * np.linspace(0, 1, count)  # [12, count]
    number = np.arange(1, 13.0)[:, None]
    turn = (np.arange(ring) + 0.25) * 2 * np.pi / ring  # near and far wall interleave across the rib
    depth = np.where(np.arange(ring) % 3 == 2, 0.55, 1.0)  # every third point is marrow
    height = np.where(number == 1, 7.5, 6.6) * (1 + 0.15 * np.clip(theta - 1.6, 0, 1))
    clouds = []
    for side in SIDES:
        curve = rib_curve(a, side, number, theta)
        area = 66.0 + 10 * np.clip(theta - 1.6, 0, 1)
        for b in (b for b in breaks if b.side == side):
            curve[b.rib - 1], area[b.rib - 1] = _broken(curve[b.rib - 1], area[b.rib - 1], theta[b.rib - 1], b)
        length = np.linalg.norm(np.gradient(curve, axis=1), axis=2)
        points = np.empty((12, count, ring, 4))
        points[..., 0] = curve[..., 0, None] + depth * np.cos(turn) * (4.0 * sign(side) * np.sin(theta))[..., None]
        points[..., 1] = curve[..., 1, None] + depth * np.sin(turn) * height[..., None]
        points[..., 2] = curve[..., 2, None] + depth * np.cos(turn) * (4.0 * np.cos(theta))[..., None]
        points[..., 3] = (length * area / ring)[..., None]
        clouds.append(points.reshape(-1, 4))
    return join(clouds)


def _broken(
    curve: NDArray[np.float64], area: NDArray[np.float64], theta: NDArray[np.float64], b: Break
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rib with its front part moved, a gap at the break and callus around it."""
    arc = (theta - b.angle) * 120
    curve = curve.copy()
    beyond = arc > 0
    curve[beyond, 1] += b.offset * np.exp(-arc[beyond] / 60)
    gap = np.abs(arc) < (0.35 * abs(b.offset) + 1.0) * (1 - b.callus)
    area = np.where(gap, 0.0, area) + 70 * b.callus * np.exp(-((arc / 7) ** 2))
    return curve, area


def girdle(a: Anatomy, step: float, abducted: float, raised: bool = False) -> Cloud:
    """Clavicles, scapulae and upper arms; `abducted` mm is how far the shoulder blades are rolled off the lungs,
    `raised` whether the arms are held up."""
    clouds = []
    for side in SIDES:
        s, b, h = sign(side), a.breadth, a.stature
        place = np.array([s * b, h, a.depth])
        out = s * abducted
        clavicle = spline(
            np.array([(13, 44, -78), (45, 37, -84), (90, 22, -62), (135, 10, -28), (160, 8, -14)]) * place, step
        )
        clouds.append(shell(clavicle, 6.5, 3.4, step))
        corner = np.array([(92, 22, 84), (158, 40, 22), (118, 168, 98)]) * place + [out, 0, -abducted * 0.3]
        clouds.append(plate(corner, 1.6, step))
        for first, last, radius in ((1, 2, 4.0), (0, 2, 2.2), (0, 1, 3.0)):
            clouds.append(shell(resample(corner[[first, last]], step), radius, 1.6, step))
        spine = np.array([(96, 46, 100), (130, 30, 92), (172, 8, 30)]) * place + [out, 0, -abducted * 0.3]
        clouds.append(shell(spline(spine, step), 4.5, 1.5, step))
        head = np.array([184, -12 if raised else 36, 8]) * place + [out, 0, 0]
        hand = head + ([0, -260, -90] if raised else [s * (14 + abducted * 0.8), 320, 0])
        shaft = np.stack([head, 0.8 * head + 0.2 * hand + [s * 4, 0, 0], hand])
        clouds.append(shell(spline(shaft, step), 12, 3.5, step))
        clouds.append(ball(head, 23.0, step, 2.2))
    return join(clouds)


def shell(curve: NDArray[np.float64], radius: float, cortex: float, step: float) -> Cloud:
    """A long bone: a cortical tube."""
    return tube(curve, radius, step, inner=max(0.0, radius - cortex))


def plate(corners: NDArray[np.float64], thickness: float, step: float) -> Cloud:
    """A flat triangular bone."""
    edge = max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[0]))
    n = int(edge / step) + 2
    i, j = np.meshgrid(np.arange(n) / (n - 1), np.arange(n) / (n - 1))
    keep = i + j <= 1
    i, j = i[keep], j[keep]
    points = corners[0] + i[:, None] * (corners[1] - corners[0]) + j[:, None] * (corners[2] - corners[0])
    area = 0.5 * np.linalg.norm(np.cross(corners[1] - corners[0], corners[2] - corners[0]))
    return np.concatenate([points, np.full((len(points), 1), area * thickness / len(points))], axis=1)


def ball(centre: NDArray[np.float64], radius: float, step: float, cortex: float) -> Cloud:
    """A spherical head of bone: cortex around loose trabeculae."""
    n = max(200, int(4 * np.pi * (radius / step) ** 2))
    k = np.arange(n) + 0.5
    polar, turn = np.arccos(1 - 2 * k / n), np.pi * (1 + 5**0.5) * k
    unit = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    rim = np.concatenate([centre + radius * unit, np.full((n, 1), 4 * np.pi * radius**2 * cortex / n)], axis=1)
    depth = ((np.arange(n) * 0.618034) % 1.0) ** (1 / 3)
    core_volume = 4.2 * radius**3 * 0.18
    core = np.concatenate([centre + radius * depth[:, None] * unit, np.full((n, 1), core_volume / n)], axis=1)
    return np.concatenate([rim, core])


def spine_line(a: Anatomy, y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position across and depth of the spine at levels `y`."""
    t = np.clip(y / (260 * a.stature), -0.3, 1.4)
    x = a.curve * np.sin(np.pi * t)
    z = (62 + 14 * np.sin(np.pi * np.clip(t, -0.3, 1.2)) + a.kyphosis * np.sin(np.pi * np.clip(t, 0, 1))) * a.depth
    return x, z


def spine(a: Anatomy, projection: Projection) -> Floats:
    """Path lengths in bone through the vertebral bodies, `[H, W]`: loose inside, dense end plates, discs between."""
    y = projection.y[:, 0].astype(np.float64)
    level = (y / a.stature + 70) / VERTEBRA
    phase = level - np.floor(level)  # 0 to 1 through one vertebra and its disc
    body = np.clip(np.minimum(phase, 0.82 - phase) / 0.04 + 0.5, 0, 1)
    plates = np.exp(-((phase / 0.035) ** 2)) + np.exp(-(((phase - 0.80) / 0.035) ** 2))
    grow = np.interp(y, [-80, 0, 300], [0.72, 0.85, 1.2])
    x, z = spine_line(a, y)
    waist = 1 - 0.12 * np.sin(np.pi * np.clip(phase / 0.82, 0, 1))
    sections = np.stack([x, z, 17 * grow * waist, 14.5 * grow * waist], axis=1)
    chord = Stack(float(y[0]), float(y[1] - y[0]), sections, square=0.75).interval(projection).length
    return chord * (0.24 * body + 0.36 * plates)[:, None].astype(np.float32)


def processes(a: Anatomy, step: float) -> Cloud:
    """Pedicles, transverse and spinous processes of every vertebra: one shape, repeated down the spine."""
    angle = np.linspace(0, 2 * np.pi, 24)
    parts = [shell(resample(np.array([[0, 3, 28.0], [0, 16, 48]]), step), 3.2, 1.4, step)]
    for s in (1.0, -1.0):
        middle = np.array([s * 10.5, 0, 18])
        loop = middle + np.stack([3.2 * np.cos(angle), 5.0 * np.sin(angle), 0 * angle], axis=1)
        parts.append(tube(resample(loop, step), 1.0, step))
        parts.append(shell(resample(np.stack([middle, middle + [s * 18, 2, 14]]), step), 4.0, 1.2, step))
    shape = join(parts)
    y = (VERTEBRA * np.arange(-3, 16) - 70 + 0.42 * VERTEBRA) * a.stature
    x, z = spine_line(a, y)
    grow = np.interp(y, [-80, 0, 300], [0.72, 0.85, 1.2])
    points = np.empty((len(y), *shape.shape))
    points[..., :3] = np.stack([x, y, z], axis=1)[:, None] + shape[:, :3] * grow[:, None, None]
    points[..., 3] = shape[:, 3] * grow[:, None] ** 3
    return points.reshape(-1, 4)


def sternum(a: Anatomy, step: float) -> Cloud:
    """Manubrium and body, a slab behind the skin of the front."""
    y = np.arange(48, 205, step) * a.stature
    width = np.interp(y / a.stature, [48, 62, 85, 95, 150, 205], [24, 27, 16, 14, 19, 10]) * a.breadth
    front = np.interp(y / a.stature, [48, 205], [-70, -101]) * a.depth
    count = max(8, int(40 / step))
    t = np.linspace(-1, 1, count)
    clouds = []
    for depth, cortex in ((-5.0, 1.4), (0.0, 1.6), (5.0, 1.4)):
        points = np.empty((len(y), count, 4))
        points[..., 0] = t * width[:, None]
        points[..., 1] = y[:, None]
        points[..., 2] = front[:, None] + depth
        points[..., 3] = (2 * width * step * a.stature * cortex / count)[:, None]
        clouds.append(points.reshape(-1, 4))
    return join(clouds)
