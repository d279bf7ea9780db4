"""Ribs as clouds of bone, and their fractures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.phantom.anatomy import SIDES, Anatomy, Side, sign
from medvlp.phantom.geometry import Projection
from medvlp.phantom.organs import hemithorax
from medvlp.phantom.strokes import Cloud, section

RIB_SPACING = 22.0


@dataclass(frozen=True)
class Break:
    """A fracture of one rib: where along it (radians from the back), how far the ends part, how much callus."""

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
    sections = hemithorax(a, side).at(np.clip(y, 2 * a.stature, 320 * a.stature))
    cx, cz, ax, az = sections.T.reshape(4, *y.shape)
    sine, cosine = np.sin(angle), np.cos(angle)
    corner = (np.abs(sine) ** 2.6 + np.abs(cosine) ** 2.6) ** (1 / 2.6)
    x = sign(side) * (np.abs(cx) + ax + 3.5) * sine / corner
    return np.stack([x, y, cz + (az + 3.5) * cosine / corner], axis=-1)


_FIRST = 0.17  # radians from the back where a rib leaves its vertebra
_LAST = np.array([2.45, 2.38, 2.40, 2.42, 2.44, 2.46, 2.48, 2.42, 2.30, 2.10, 1.55, 1.00])  # where its bone ends


def ribs(a: Anatomy, p: Projection, breaks: Sequence[Break] = ()) -> list[Cloud]:
    """All 24 ribs as flat tubes: a shell of cortex with some marrow within."""
    count = max(40, int(330 * a.breadth / p.pitch))
    theta = _FIRST + (_LAST[:, None] - _FIRST) * np.linspace(0, 1, count)  # [12, count]
    number = np.arange(1, 13.0)[:, None]
    high = np.where(number == 1, 7.5, 6.6) * (1 + 0.15 * np.clip(theta - 1.6, 0, 1))
    across = section(7.5, p.pitch, inner=6.0, core=0.35)
    clouds = []
    for side in SIDES:
        curve = rib_curve(a, side, number, theta)
        area = 58.0 + 10 * np.clip(theta - 1.6, 0, 1)
        for b in (b for b in breaks if b.side == side):
            _break(curve[b.rib - 1], area[b.rib - 1], theta[b.rib - 1], b)
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


def _break(curve: NDArray[np.float64], area: NDArray[np.float64], theta: NDArray[np.float64], b: Break) -> None:
    """Break one rib in place: its front part moves down and inwards, a gap opens, or callus closes it."""
    arc = (theta - b.angle) * 120
    moved = b.offset * np.exp(-np.maximum(arc, 0) / 80) * (arc > 0)
    curve[:, 1] += moved
    curve[:, 0] -= 0.5 * np.abs(moved) * np.sign(curve[:, 0])
    gap = (0.3 * abs(b.offset) + 1.5) * (1 - b.callus)
    area *= np.clip((np.abs(arc) - gap) / 1.0, 0, 1)
    area += 45 * (1 - b.callus) * np.exp(-(((np.abs(arc) - gap - 3) / 2.5) ** 2))  # the ends stand proud
    area += 130 * b.callus * np.exp(-((arc / 8) ** 2))
