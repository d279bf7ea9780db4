"""Shoulders: clavicles, shoulder blades and upper arms as clouds of bone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvlp.phantom.anatomy import SIDES, Anatomy, Side, sign
from medvlp.phantom.geometry import Ellipsoid, Floats, Projection
from medvlp.phantom.strokes import Cloud, spline, tube

# how far the shoulder blades are rolled off the lungs, in mm
_ABDUCTED = {"PA": 30.0, "AP": 10.0, "LATERAL": 45.0}


def humeral_head(a: Anatomy, p: Projection, side: Side) -> tuple[float, float, float]:
    """Centre of the head of an upper arm."""
    s = sign(side)
    return (s * (184 * a.breadth + _ABDUCTED[p.view]), (36 if p.frontal else -48) * a.stature, 8 * a.depth)


def humeral_heads(a: Anatomy, p: Projection) -> Floats:
    """Path lengths in bone through the heads of both upper arms: thin cortex around loose bone."""
    total = np.zeros(p.shape, np.float32)
    for side in SIDES:
        centre = humeral_head(a, p, side)
        outer, inner = (Ellipsoid(centre, (r, 1.05 * r, r)).chord(p) for r in (23.0, 21.6))
        total += outer - 0.78 * inner
    return total


def shoulders(a: Anatomy, p: Projection) -> list[Cloud]:
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


def shell(p: Projection, curve: NDArray[np.float64], radius: float, cortex: float) -> Cloud:
    """A long bone: a cortical tube."""
    return tube(p, curve, radius, inner=max(0.0, radius - cortex))


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
