"""The bones: ribs with their fractures, spine and sternum, and the shoulder girdle, as clouds of points and solids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.phantom.anatomy import SIDES, Anatomy, Side, sign
from medvlp.phantom.geometry import Ellipsoid, Floats, Projection, SectionStack
from medvlp.phantom.organs import hemithorax
from medvlp.phantom.point_clouds import PointCloud, resample_curve, spline, tube, tube_section

RIB_SPACING = 22.0


@dataclass(frozen=True)
class Fracture:
    """A fracture of one rib: its angle along the rib (radians from the back), displacement in mm, callus 0 to 1."""

    side: Side
    rib: int
    angle: float
    offset: float
    callus: float


def rib_curve(a: Anatomy, side: Side, rib: ArrayLike, angle: ArrayLike) -> NDArray[np.float64]:
    """Points `[..., 3]` on the middle lines of ribs 1 to 12, at angles from the back (0) round to the front (pi)."""
    rib, angle = np.broadcast_arrays(np.asarray(rib, dtype=np.float64), np.asarray(angle, dtype=np.float64))
    drop = np.interp(rib, [1, 2, 3, 6, 10, 12], [44, 66, 84, 112, 120, 104]) * a.rib_drop
    back = -9 + RIB_SPACING * (rib - 1) + 0.35 * np.maximum(0, rib - 6) ** 1.4
    y = (back + drop * (angle / 2.4) ** 1.3) * a.stature
    sections = hemithorax(a, side).sections_at(np.clip(y, 2 * a.stature, 320 * a.stature))
    cx, cz, ax, az = sections.T.reshape(4, *y.shape)
    sine, cosine = np.sin(angle), np.cos(angle)
    corner = (np.abs(sine) ** 2.6 + np.abs(cosine) ** 2.6) ** (1 / 2.6)
    x = sign(side) * (np.abs(cx) + ax + 3.5) * sine / corner
    return np.stack([x, y, cz + (az + 3.5) * cosine / corner], axis=-1)


_FIRST = 0.17  # radians from the back where a rib leaves its vertebra
_LAST = np.array([2.45, 2.38, 2.40, 2.42, 2.44, 2.46, 2.48, 2.42, 2.30, 2.10, 1.55, 1.00])  # where its bone ends


def ribs(a: Anatomy, p: Projection, fractures: Sequence[Fracture] = ()) -> list[PointCloud]:
    """All 24 ribs as flat tubes: a shell of cortex with some marrow within."""
    count = max(40, int(330 * a.breadth / p.pitch))
    theta = _FIRST + (_LAST[:, None] - _FIRST) * np.linspace(0, 1, count)  # [12, count]
    number = np.arange(1, 13.0)[:, None]
    high = np.where(number == 1, 7.5, 6.6) * (1 + 0.15 * np.clip(theta - 1.6, 0, 1))
    across = tube_section(7.5, p.pitch, inner=6.0, core=0.35)
    clouds = []
    for side in SIDES:
        curve = rib_curve(a, side, number, theta)
        area = 58.0 + 10 * np.clip(theta - 1.6, 0, 1)
        for b in (b for b in fractures if b.side == side):
            _displace(curve[b.rib - 1], area[b.rib - 1], theta[b.rib - 1], b)
        length = np.linalg.norm(np.gradient(curve, axis=1), axis=2)
        up = across[:, 0] / 7.5
        deep = across[:, 1] / 7.5 * 4.0
        points = np.empty((12, count, len(across), 4))
        points[..., 0] = curve[..., 0, None] + deep * (sign(side) * np.sin(theta))[..., None]
        points[..., 1] = curve[..., 1, None] + up * high[..., None]
        points[..., 2] = curve[..., 2, None] + deep * np.cos(theta)[..., None]
        points[..., 3] = (length * area)[..., None] * across[:, 2]
        clouds.append(points.reshape(-1, 4))
    return clouds


def _displace(curve: NDArray[np.float64], area: NDArray[np.float64], theta: NDArray[np.float64], b: Fracture) -> None:
    """Fracture one rib in place: its front part moves down and inwards; a gap opens, or callus closes it."""
    arc = (theta - b.angle) * 120
    moved = b.offset * np.exp(-np.maximum(arc, 0) / 80) * (arc > 0)
    curve[:, 1] += moved
    curve[:, 0] -= 0.5 * np.abs(moved) * np.sign(curve[:, 0])
    gap = (0.3 * abs(b.offset) + 1.5) * (1 - b.callus)
    area *= np.clip((np.abs(arc) - gap) / 1.0, 0, 1)
    area += 45 * (1 - b.callus) * np.exp(-(((np.abs(arc) - gap - 3) / 2.5) ** 2))  # the ends stand proud
    area += 130 * b.callus * np.exp(-((arc / 8) ** 2))


VERTEBRA = 23.0  # mm from one vertebra to the next


def spine_line(a: Anatomy, y: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Position across and depth of the spine at levels `y`."""
    t = np.clip(y / (260 * a.stature), -0.3, 1.4)
    x = a.scoliosis * np.sin(np.pi * t)
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
    chord = SectionStack(float(y[0]), float(y[1] - y[0]), sections, square=0.75).interval(projection).length
    walls = 1.0 if projection.frontal else 1.7  # seen from the side, the cortex of both flanks comes to it
    return chord * (walls * (0.22 * body + 0.3 * plates))[:, None].astype(np.float32)


def processes(a: Anatomy, p: Projection) -> PointCloud:
    """Pedicles, transverse and spinous processes of every vertebra: one shape, repeated down the spine."""
    angle = np.linspace(0, 2 * np.pi, 24)
    parts = [shell(p, resample_curve(np.array([[0, 3, 28.0], [0, 16, 48]]), p.pitch), 3.2, 1.4)]
    for s in (1.0, -1.0):
        middle = np.array([s * 10.5, 0, 18])
        loop = middle + np.stack([3.2 * np.cos(angle), 5.0 * np.sin(angle), 0 * angle], axis=1)
        parts.append(tube(p, resample_curve(loop, p.pitch), 1.0))
        parts.append(
            shell(p, resample_curve(np.stack([middle, middle + np.array([s * 18, 2, 14])]), p.pitch), 4.0, 1.2)
        )
    shape = np.concatenate(parts)
    y = (VERTEBRA * np.arange(-3, 16) - 70 + 0.42 * VERTEBRA) * a.stature
    x, z = spine_line(a, y)
    grow = np.interp(y, [-80, 0, 300], [0.72, 0.85, 1.2])
    points = np.empty((len(y), *shape.shape))
    points[..., :3] = np.stack([x, y, z], axis=1)[:, None] + shape[:, :3] * grow[:, None, None]
    points[..., 3] = shape[:, 3] * grow[:, None] ** 3
    return points.reshape(-1, 4)


def sternum(a: Anatomy, p: Projection) -> list[PointCloud]:
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


# how far the shoulder blades are rolled off the lungs, in mm
_ABDUCTED = {"PA": 30.0, "AP": 10.0, "LATERAL": 45.0}


def humeral_head(a: Anatomy, p: Projection, side: Side) -> tuple[float, float, float]:
    """Center of the head of an upper arm."""
    s = sign(side)
    return (s * (184 * a.breadth + _ABDUCTED[p.view]), (36 if p.frontal else -48) * a.stature, 8 * a.depth)


def humeral_heads(a: Anatomy, p: Projection) -> Floats:
    """Path lengths in bone through the heads of both upper arms: thin cortex around loose bone."""
    total = np.zeros(p.shape, np.float32)
    for side in SIDES:
        center = humeral_head(a, p, side)
        outer, inner = (Ellipsoid(center, (r, 1.05 * r, r)).chord(p) for r in (23.0, 21.6))
        total += outer - 0.78 * inner
    return total


def shoulders(a: Anatomy, p: Projection) -> list[PointCloud]:
    """Both shoulder girdles; the arms hang in frontal views and are raised in lateral ones."""
    abducted, raised = _ABDUCTED[p.view], not p.frontal
    clouds = []
    for side in SIDES:
        s = sign(side)
        place = np.array([s * a.breadth, a.stature, a.depth])
        moved = np.array([s * abducted, 0, -0.3 * abducted])
        collar = spline(
            np.array([(13, 45, -74), (36, 41, -84), (70, 31, -78), (112, 15, -42), (150, 6, -18)]) * place, p.pitch
        )
        ends = np.abs(np.linspace(-1, 1, len(collar))) ** 3
        clouds.append(tube(p, collar, 5.6, inner=2.8, swell=1 + 0.45 * ends))
        corner = np.array([(92, 22, 84), (158, 40, 22), (118, 168, 98)]) * place + moved
        clouds.append(plate(corner, 1.6, p.pitch))
        upper, glenoid, lower = corner
        for border, radius in (
            ([glenoid, 0.5 * (glenoid + lower) + [s * 5, -8, 4], lower], 3.6),
            ([upper, 0.5 * (upper + lower) + [-s * 7, 0, 5], lower], 2.0),
            ([upper, 0.5 * (upper + glenoid) + [0, 6, 0], glenoid], 2.6),
        ):
            clouds.append(shell(p, spline(border, p.pitch), radius, 1.6))
        ridge = np.array([(96, 46, 100), (130, 30, 92), (158, 14, 55), (174, 6, 22)]) * place + moved
        clouds.append(shell(p, spline(ridge, p.pitch), 4.5, 1.5))
        head = np.array(humeral_head(a, p, side))
        hand = head + np.array([0, -200, -70] if raised else [s * (11 + 0.6 * abducted), 280, 0])
        shaft = np.stack([head, 0.8 * head + 0.2 * hand + [s * 4, 0, 0], hand])
        clouds.append(shell(p, spline(shaft, p.pitch), 12, 3.5))
    return clouds


def shell(p: Projection, curve: NDArray[np.float64], radius: float, cortex: float) -> PointCloud:
    """A long bone: a cortical tube."""
    return tube(p, curve, radius, inner=max(0.0, radius - cortex))


def plate(corners: NDArray[np.float64], thickness: float, step: float) -> PointCloud:
    """A flat triangular bone."""
    edge = max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[0]))
    n = int(edge / step) + 2
    i, j = np.meshgrid(np.arange(n) / (n - 1), np.arange(n) / (n - 1))
    keep = i + j <= 1
    i, j = i[keep], j[keep]
    points = corners[0] + i[:, None] * (corners[1] - corners[0]) + j[:, None] * (corners[2] - corners[0])
    area = 0.5 * np.linalg.norm(np.cross(corners[1] - corners[0], corners[2] - corners[0]))
    return np.concatenate([points, np.full((len(points), 1), area * thickness / len(points))], axis=1)
