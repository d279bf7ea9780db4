"""The large solids of the chest, built from an `Anatomy`: trunk, lungs' spaces, diaphragm, heart, great vessels."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from medvlp.phantom.anatomy import Anatomy, Side, sign
from medvlp.phantom.geometry import Ellipsoid, Interval, Projection, SectionStack, interpolate_table, no_intersection

# level, lateral wall, medial wall, center in depth, half depth of one lung's space
_HEMITHORAX = [
    (0, 52, 44, 26, 5),
    (2, 63, 36, 26, 16),
    (7, 76, 30, 25, 29),
    (16, 88, 25, 22, 44),
    (32, 101, 20, 17, 60),
    (55, 112, 17, 11, 74),
    (90, 122, 15, 4, 87),
    (140, 130, 14, -3, 96),
    (200, 135, 14, -9, 99),
    (260, 137, 14, -14, 98),
    (300, 137, 14, -18, 95),
    (345, 134, 14, -20, 92),
]

# level, half width, center in depth, half depth of the trunk without its fat
_TRUNK = [
    (-160, 55, -6, 54),
    (-75, 54, 6, 55),
    (-55, 58, 12, 58),
    (-40, 78, 18, 64),
    (-25, 112, 22, 72),
    (-8, 148, 23, 82),
    (12, 178, 21, 90),
    (40, 190, 16, 99),
    (80, 176, 10, 107),
    (120, 158, 4, 112),
    (180, 150, -4, 115),
    (260, 148, -11, 114),
    (460, 152, -16, 117),
]

# level, center across, half width, center in depth, half depth of what fills the middle above the heart
_MEDIASTINUM = [
    (-20, 0, 26, 10, 26),
    (20, 0, 28, 6, 34),
    (50, -1, 29, 2, 40),
    (80, -2, 26, 2, 44),
    (110, -1, 25, 4, 44),
    (150, 0, 24, 10, 42),
    (230, 2, 22, 24, 40),
    (300, 2, 20, 30, 30),
]


@cache
def _table(name: str) -> NDArray[np.float64]:
    """A table of knots as a smooth one, a row each millimeter."""
    knots = {"hemithorax": _HEMITHORAX, "trunk": _TRUNK, "mediastinum": _MEDIASTINUM}[name]
    return interpolate_table(np.array(knots, dtype=np.float64), 1.0)


@lru_cache(maxsize=16)
def trunk(a: Anatomy, fat: float) -> SectionStack:
    """Neck, shoulders and trunk, with `fat` mm under the skin."""
    width, cz, half = _table("trunk").T
    level = _TRUNK[0][0] + np.arange(len(width))
    under = fat * np.interp(level, [-60, 0, 250], [0.35, 0.7, 1.0])
    bow = a.kyphosis * np.sin(np.pi * np.clip((level + 40) / 320, 0, 1))
    sections = np.stack(
        [0 * level, cz + 0.5 * bow, width * a.breadth + under, half * a.depth + under + 0.4 * bow], axis=1
    )
    return SectionStack(_TRUNK[0][0] * a.stature, a.stature, sections, square=0.55)


@lru_cache(maxsize=16)
def hemithorax(a: Anatomy, side: Side) -> SectionStack:
    """The space inside the ribs of one side, from the apex to below the diaphragm, beside the mediastinum."""
    lateral, medial, cz, half = _table("hemithorax").T
    level = np.arange(len(lateral), dtype=np.float64)
    lateral = lateral * a.breadth
    medial = medial * a.breadth + sign(side) * a.shift * np.clip((level - 10) / 60, 0, 1)
    back = a.kyphosis * np.sin(np.pi * np.clip(level / 260, 0, 1))
    half = half * a.depth * (1 + 0.05 * a.flatness)
    center = sign(side) * (lateral + medial) / 2
    sections = np.stack([center, cz * a.depth + back, (lateral - medial) / 2, half], axis=1)
    return SectionStack(0.0, a.stature, sections, square=0.5)


@lru_cache(maxsize=16)
def dome(a: Anatomy, side: Side) -> SectionStack:
    """All that lies under the diaphragm of one side: a dome that widens downwards to the costophrenic angles."""
    height = (48 - 27 * a.flatness) * a.stature
    depth = np.arange(0, 340, 0.5)
    reach = np.minimum(depth / height, 4.0) ** (1 / (2.4 + 1.2 * a.flatness))
    ones = np.ones_like(depth)
    sections = np.stack(
        [
            ones * sign(side) * (70 * a.breadth) + 0.4 * a.shift,
            ones * -20 * a.depth,
            reach * 70 * a.breadth,
            reach * 98 * a.depth,
        ],
        axis=1,
    )
    return SectionStack(a.dome_top(side), 0.5, sections, square=0.15)


def heart_parts(a: Anatomy) -> list[Ellipsoid]:
    """Ventricles, right atrium and the base of the heart."""
    k, s = a.breadth * a.heart, a.stature
    grow = 1 + 0.35 * (a.heart - 1)
    floor = min(a.dome_top("left"), a.dome_top("right") + 12 * s)
    x, y = a.shift, floor - 37 * s * grow
    return [
        Ellipsoid((x + 27 * k, y + 1 * s, -32 * a.depth), (45 * k, 70 * s * grow, 64 * a.depth * grow), -a.heart_tilt),
        Ellipsoid((x - 11 * k, y - 4 * s, -22 * a.depth), (28 * k, 45 * s * grow, 56 * a.depth * grow), 0.1),
        Ellipsoid((x + 13 * k, y - 36 * s * grow, -8), (31 * k, 36 * s * grow, 40 * a.depth), -0.25),
    ]


def vessel_parts(a: Anatomy) -> list[Ellipsoid]:
    """Great vessels: pulmonary trunk, aorta, superior vena cava, those to the arms; and what lies between the domes."""
    b, s, x = a.breadth, a.stature, a.shift
    return [
        Ellipsoid((x * 0.8 + 19 * b, 114 * s, -14), (20 * b, 27 * s, 24), -0.45),
        Ellipsoid((x * 0.6 + 20 * b, 72 * s, 10), (a.aortic_knob, a.aortic_knob * 1.08, 36), 0.0),
        Ellipsoid((x * 0.6 + 18 * b, 165 * s, 48), (0.75 * a.aortic_knob, 105 * s, 13), -0.05),
        Ellipsoid((x * 0.8 - 15 * b, 104 * s, -22), (17, 46 * s, 20), 0.0),
        Ellipsoid((x * 0.7 - 20 * b, 74 * s, -6), (13, 60 * s, 13), 0.0),
        Ellipsoid((x * 0.4 + 25 * b, 34 * s, 14), (11, 44 * s, 16), 0.22),
        Ellipsoid((x * 0.4 - 25 * b, 30 * s, 4), (11, 40 * s, 16), -0.22),
        Ellipsoid((x * 0.7 + 4, a.dome_top("left") + 42 * s, 0), (62 * b, 50 * s, 80 * a.depth), 0.0),
    ]


def paraspinal(a: Anatomy) -> Ellipsoid:
    """The spine with the muscles and vessels beside it, round which the lungs fold at the back."""
    return Ellipsoid((0.3 * a.shift, 150 * a.stature, 64 * a.depth), (36 * a.breadth, 190 * a.stature, 46 * a.depth))


def hila(a: Anatomy) -> list[Ellipsoid]:
    """The large pulmonary arteries and veins at the root of each lung; the left hilum stands higher."""
    b, s, x, v = a.breadth, a.stature, 0.8 * a.shift, a.vessels
    return [
        Ellipsoid((x + 44 * b, 106 * s, 6), (13 * v, 15 * v, 13), 0.3),
        Ellipsoid((x + 50 * b, 130 * s, 12), (7.5 * v, 22, 8), -0.25),
        Ellipsoid((x - 41 * b, 114 * s, 4), (12 * v, 12 * v, 12), 0.2),
        Ellipsoid((x - 50 * b, 138 * s, 8), (8 * v, 26, 8), 0.22),
        Ellipsoid((x - 42 * b, 97 * s, -2), (7 * v, 13, 7), -0.4),
    ]


def mediastinum(a: Anatomy) -> SectionStack:
    """The mediastinum without heart and great vessels."""
    cx, width, cz, half = _table("mediastinum").T
    level = _MEDIASTINUM[0][0] + np.arange(len(cx))
    pull = a.shift * np.clip(level / 80, 0, 1)
    sections = np.stack([cx * a.breadth + pull, cz * a.depth, width * a.breadth, half * a.depth], axis=1)
    return SectionStack(_MEDIASTINUM[0][0] * a.stature, a.stature, sections, square=0.2)


def hull(parts: list[Ellipsoid], projection: Projection) -> Interval:
    """Entry and exit of every beam through parts that touch."""
    total = no_intersection(projection)
    for part in parts:
        part.extend_hull(total, projection)
    return total


def lung_point(a: Anatomy, side: Side, across: float, down: float, deep: float) -> tuple[float, float, float]:
    """A point in a lung from its relative coordinates.

    Args:
        across: 0 at the mediastinum to 1 at the ribs.
        down: 0 at the apex to 1 at the top of the diaphragm; beyond 1 lies the posterior recess.
        deep: -1 in front to 1 at the back.
    """
    y = down * a.dome_top(side)
    cx, cz, ax, az = hemithorax(a, side).sections_at([y])[0]
    offset = sign(side) * (2 * across - 1)
    return float(cx + offset * ax), float(y), float(cz + deep * az * np.sqrt(max(0.0, 1 - offset**2)))
