"""Solids and how a beam crosses them: `Projection`, and the two analytic solids `SectionStack` and `Ellipsoid`.

Patient coordinates in millimeters: `x` towards the patient's left, `y` downwards from the apex of the lungs, `z`
towards the back, with `x = z = 0` on the long axis of the chest. In a frontal image the patient's left is on
the right; a lateral image has the back on its left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

View = Literal["PA", "AP", "LATERAL"]
Floats = NDArray[np.float32]

FAR = np.float32(1e6)


@dataclass(frozen=True)
class Projection:
    """Where each pixel looks: one row is one level `y`, one column one position across.

    Attributes:
        view: `PA`, `AP` or `LATERAL`.
        shape: rows and columns of the image.
        pitch: pixel spacing in mm.
        top: level `y` of the first row.
        center: position across of the middle column.
        turn: tangent of the rotation about the long axis.
        lean: tangent of the sideways lean of the long axis.
        magnify: growth of the scale per millimeter towards the back (divergent beam); negative for AP.
    """

    view: View
    shape: tuple[int, int]
    pitch: float
    top: float = -60.0
    center: float = 0.0
    turn: float = 0.0
    lean: float = 0.0
    magnify: float = 0.0

    @property
    def frontal(self) -> bool:
        """Whether the beam runs along `z`."""
        return self.view != "LATERAL"

    @property
    def beam(self) -> NDArray[np.float64]:
        """Unit vector along the beam."""
        along = np.array([-self.turn, 0.0, 1.0] if self.frontal else [1.0, 0.0, self.turn])
        return along / np.linalg.norm(along)

    @cached_property
    def y(self) -> Floats:
        """Level of each row, `[H, 1]`."""
        return (self.top + self.pitch * np.arange(self.shape[0], dtype=np.float32))[:, None]

    @cached_property
    def u(self) -> Floats:
        """Position across of each pixel, `[H, W]`, corrected for the lean."""
        columns = np.arange(self.shape[1], dtype=np.float32) - np.float32((self.shape[1] - 1) / 2)
        return (self.center + self.pitch * columns)[None, :] - np.float32(self.lean) * (self.y - 130.0)

    def across(self, x: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
        """Position across at which a point of depth is seen."""
        x, z = np.asarray(x, dtype=np.float64), np.asarray(z, dtype=np.float64)
        if self.frontal:
            return x * (1.0 + self.magnify * z) + self.turn * z
        return self.turn * x - z * (1.0 - self.magnify * x)

    def pixels(self, points: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and columns (fractional) at which the points `[N, 3]` are seen."""
        y = points[:, 1].astype(np.float64)
        u = self.across(points[:, 0], points[:, 2]) + self.lean * (y - 130.0)
        return (y - self.top) / self.pitch, (u - self.center) / self.pitch + (self.shape[1] - 1) / 2


@dataclass(frozen=True)
class Interval:
    """Where the beam of each pixel enters and leaves a solid: `low`, `high` `[H, W]`; `low > high` where it misses."""

    low: Floats
    high: Floats

    @property
    def length(self) -> Floats:
        """Path length in millimeters, 0 where the beam misses."""
        return np.maximum(self.high - self.low, 0)

    def __and__(self, other: Interval) -> Interval:
        return Interval(np.maximum(self.low, other.low), np.minimum(self.high, other.high))

    def __or__(self, other: Interval) -> Interval:
        """The hull of both: exact where they touch, which is how the parts of one organ lie."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Which beams meet the solid."""
        return self.low < self.high


def no_intersection(projection: Projection) -> Interval:
    """Nothing: every beam misses."""
    return Interval(np.full(projection.shape, FAR), np.full(projection.shape, -FAR))


def interpolate_table(knots: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Interpolate a table `[K, C]`, whose first column is the level, to `[N, C - 1]` at every `step` (PCHIP)."""
    levels = np.arange(knots[0, 0], knots[-1, 0] + step / 2, step)
    return PchipInterpolator(knots[:, 0], knots[:, 1:])(levels)


def _interval(middle: Floats, half_squared: Floats, half: Floats | np.float32) -> Interval:
    root = np.where(half_squared > 0, np.sqrt(np.maximum(half_squared, 0)) * half, -FAR)
    return Interval(middle - root, middle + root)


@dataclass(frozen=True)
class SectionStack:
    """A solid whose section at each level is a rounded box: center `(cx, cz)` and half widths `(ax, az)`.

    Attributes:
        top: level of the first section.
        step: distance between sections; the solid ends with the last one.
        sections: `cx, cz, ax, az` at each level, `[K, 4]`.
        square: 0 for an ellipse, towards 1 for a box with round corners.
    """

    top: float
    step: float
    sections: NDArray[np.float64]
    square: float = 0.3

    @property
    def levels(self) -> NDArray[np.float64]:
        """Levels `y` of the sections, `[K]`."""
        return self.top + self.step * np.arange(len(self.sections), dtype=np.float64)

    def sections_at(self, y: ArrayLike) -> NDArray[np.float64]:
        """Sections at any levels, `[N, 4]`; half widths are 0 outside."""
        place = (np.asarray(y, dtype=np.float64).ravel() - self.top) / self.step
        last = len(self.sections) - 1
        inside = (place >= 0) & (place <= last)
        place = np.clip(place, 0, last)
        lower = np.minimum(place.astype(np.int64), last - 1)
        part = (place - lower)[:, None]
        sections = self.sections[lower] * (1 - part) + self.sections[lower + 1] * part
        sections[~inside, 2:] = 0
        return sections

    def interval(self, projection: Projection) -> Interval:
        """Entry and exit of every beam."""
        cx, cz, ax, az = self.sections_at(projection.y).T[:, :, None]
        if projection.frontal:
            center, width = projection.across(cx, cz), ax * (1.0 + projection.magnify * cz)
            middle, half = cz, az
        else:
            center, width, middle, half = projection.across(cx, cz), az * (1.0 - projection.magnify * cx), cx, ax
        t = (projection.u - center.astype(np.float32)) * (1.0 / np.maximum(width, 1e-3)).astype(np.float32)
        t *= t
        beyond = 1 - t * (np.float32(1 - self.square) + np.float32(self.square) * t)
        return _interval(middle.astype(np.float32), beyond, half.astype(np.float32))

    def contains(self, points: NDArray[np.floating], margin: float = 0.0) -> NDArray[np.bool_]:
        """Which of the points `[N, 3]` lie inside, at least `margin` mm from the wall."""
        cx, cz, ax, az = self.sections_at(points[:, 1]).T
        tx = (points[:, 0] - cx) / np.maximum(ax - margin, 1e-3)
        tz = (points[:, 2] - cz) / np.maximum(az - margin, 1e-3)
        return (tx**2 + tz**2 < 1) & (ax > margin) & (az > margin)

    def shrunk(self, gap: NDArray[np.floating], towards: float) -> SectionStack:
        """The same solid with its walls `gap` mm further in at each level, but for the one that faces `towards` in x.

        So a lung collapses away from the ribs towards the mediastinum. `gap` is `[K]`, or one number.
        """
        sections = self.sections.copy()
        width = np.maximum(sections[:, 2] - np.asarray(gap) / 2, 0)
        sections[:, 0] += np.sign(towards) * (sections[:, 2] - width)
        sections[:, 2] = width
        sections[:, 3] = np.maximum(sections[:, 3] - gap, 0)
        return SectionStack(self.top, self.step, sections, self.square)

    def lowered(self, by: NDArray[np.floating]) -> SectionStack:
        """The same solid with each of its sections `[K]` moved down by `by` mm."""
        return SectionStack(self.top, self.step, self.sections_at(self.levels - by), self.square)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with semi-axes `radii` (x, y, z), tilted by `tilt` radians in the frontal plane.

    A positive tilt moves the lower end towards the patient's right.
    """

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    tilt: float = 0.0

    @cached_property
    def form(self) -> NDArray[np.float64]:
        """The quadratic form Q with `p' Q p = 1` on the surface, `[3, 3]`."""
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        return turn.T @ np.diag(1 / np.square(self.radii)) @ turn

    def window(self, projection: Projection) -> tuple[slice, slice]:
        """Rows and columns that the solid can reach."""
        rx, ry, rz = self.radii
        c, s = abs(math.cos(self.tilt)), abs(math.sin(self.tilt))
        down, wide = math.hypot(rx * s, ry * c), math.hypot(rx * c, ry * s)
        row, column = (float(v[0]) for v in projection.pixels(np.array([self.center])))
        lean = abs(projection.lean) * down
        across = 1.15 * (wide if projection.frontal else rz) + lean
        height, width = projection.shape
        down, across = down / projection.pitch + 2, across / projection.pitch + 2
        rows = slice(max(0, min(height, int(row - down))), max(0, min(height, int(row + down) + 1)))
        columns = slice(max(0, min(width, int(column - across))), max(0, min(width, int(column + across) + 1)))
        return rows, columns

    def part(self, projection: Projection) -> tuple[tuple[slice, slice], Interval]:
        """A window of the image, and entry and exit of the beams in it; the beams outside miss."""
        window = self.window(projection)
        cx, cy, cz = self.center
        beam, across = (2, 0) if projection.frontal else (0, 2)
        scale = 1.0 + projection.magnify * cz if projection.frontal else projection.magnify * cx - 1.0
        du = (projection.u[window] - np.float32(projection.across(cx, cz))) / np.float32(scale)
        dy = (projection.y - np.float32(cy))[window[0]]
        q = self.form.astype(np.float32)
        # along the beam t: q_bb t^2 + 2 (q_ba du + q_by dy) t + (quadratic in du, dy) = 1
        b = (q[beam, across] * du + q[beam, 1] * dy) / q[beam, beam]
        c = (q[across, across] * du * du + 2 * q[across, 1] * du * dy + q[1, 1] * dy * dy - 1) / q[beam, beam]
        return window, _interval(np.float32(self.center[beam]) - b, b * b - c, np.float32(1))

    def interval(self, projection: Projection) -> Interval:
        """Entry and exit of every beam."""
        total = no_intersection(projection)
        self.extend_hull(total, projection)
        return total

    def extend_hull(self, interval: Interval, projection: Projection) -> None:
        """Stretch an interval in place to this solid: their hull."""
        window, part = self.part(projection)
        np.minimum(interval.low[window], part.low, out=interval.low[window])
        np.maximum(interval.high[window], part.high, out=interval.high[window])

    def chord(self, projection: Projection) -> Floats:
        """Path length of every beam in millimeters, `[H, W]`."""
        total = np.zeros(projection.shape, np.float32)
        window, part = self.part(projection)
        total[window] = part.length
        return total

    def contains(self, points: NDArray[np.floating], margin: float = 0.0) -> NDArray[np.bool_]:
        """Which of the points `[N, 3]` lie inside the solid grown by `margin` mm."""
        d = (points - np.asarray(self.center)) / (1 + margin / min(self.radii))
        return ((d @ self.form) * d).sum(axis=1) < 1
