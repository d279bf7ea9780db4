"""The large solids of the chest, built from an `Anatomy`: body, lungs' spaces, diaphragm, heart and great vessels."""

from __future__ import annotations

import numpy as np

from medvlp.data.phantom.anatomy import Anatomy, Side, sign
from medvlp.data.phantom.geometry import Ellipsoid, Interval, Projection, Stack

# level, lateral wall, medial wall, centre in depth, half depth of one lung's space at stature = breadth = depth = 1
_HEMITHORAX = np.array(
    [
        [0, 50, 46, 26, 4],
        [3, 62, 38, 25, 18],
        [9, 72, 33, 22, 32],
        [20, 83, 29, 17, 48],
        [40, 98, 26, 9, 66],
        [70, 111, 25, 2, 80],
        [110, 122, 24, -2, 89],
        [160, 130, 24, -3, 94],
        [220, 134, 24, -3, 97],
        [300, 136, 24, -3, 97],
        [330, 134, 24, -3, 95],
    ],
    dtype=np.float64,
)

# level, half width, centre in depth, half depth of the trunk without its fat
_TRUNK = np.array(
    [
        [-120, 56, 10, 58],
        [-70, 56, 14, 58],
        [-48, 60, 18, 62],
        [-34, 82, 20, 68],
        [-18, 118, 20, 76],
        [0, 150, 18, 84],
        [22, 172, 14, 92],
        [50, 178, 8, 98],
        [85, 166, 4, 104],
        [120, 154, 2, 108],
        [180, 150, 1, 110],
        [260, 150, 0, 110],
        [420, 150, 0, 112],
    ],
    dtype=np.float64,
)


def trunk(a: Anatomy, fat: float) -> Stack:
    """Neck, shoulders and trunk, with `fat` mm under the skin."""
    level, width, cz, half = _TRUNK.T
    under = fat * np.interp(level, [-60, 0, 250], [0.35, 0.7, 1.0])
    sections = np.stack([0 * level, cz + a.kyphosis * 0.3, width * a.breadth + under, half * a.depth + under], axis=1)
    return Stack(level * a.stature, sections, square=0.55)


def hemithorax(a: Anatomy, side: Side) -> Stack:
    """The space inside the ribs of one side, from the apex to below the diaphragm, beside the mediastinum."""
    level, lateral, medial, cz, half = _HEMITHORAX.T
    lateral, medial = lateral * a.breadth, medial * a.breadth - sign(side) * a.shift * 0.5 * (level > 15)
    centre = sign(side) * (lateral + medial) / 2
    back = a.kyphosis * np.sin(np.pi * np.clip(level / 260, 0, 1))
    half = half * a.depth * (1 + 0.08 * a.flatness)
    sections = np.stack([centre, cz * a.depth + back, (lateral - medial) / 2, half], axis=1)
    return Stack(level * a.stature, sections, square=0.45)


def dome(a: Anatomy, side: Side) -> Stack:
    """What the diaphragm of one side keeps from the lung: a dome that widens downwards to the costophrenic angles."""
    height = (44 - 26 * a.flatness) * a.stature
    depth = np.array([0, 0.004, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 1.6, 2.6, 8.0])
    reach = np.minimum(depth, 4.0) ** (1 / 2.5)
    ones = np.ones_like(depth)
    sections = np.stack(
        [
            ones * sign(side) * 72 * a.breadth + 0.5 * a.shift,
            ones * -14 * a.depth,
            reach * 67 * a.breadth,
            reach * 97 * a.depth,
        ],
        axis=1,
    )
    return Stack(a.dome_top(side) + height * depth, sections, square=0.1)


def heart_parts(a: Anatomy) -> list[Ellipsoid]:
    """Ventricles, right atrium and the roots of the great vessels."""
    k, s = a.breadth * a.heart, a.stature
    floor = min(a.dome_top("left"), a.dome_top("right") + 12 * s)
    x, y = a.shift, floor - 38 * s
    grow = 0.5 * (a.heart - 1)
    return [
        Ellipsoid((x + 25 * k, y, -28), (50 * k, 68 * s * (1 + grow), 50 * k * a.depth), -a.heart_tilt),
        Ellipsoid((x - 14 * k, y - 2 * s, -18), (31 * k, 44 * s * (1 + grow), 36 * k), 0.1),
        Ellipsoid((x + 14 * k, y - 38 * s, -8), (33 * a.breadth, 34 * s, 34 * a.depth), 0.0),
    ]


def vessel_parts(a: Anatomy) -> list[Ellipsoid]:
    """Pulmonary trunk, aortic arch, ascending and descending aorta, superior vena cava."""
    b, s, x = a.breadth, a.stature, a.shift
    return [
        Ellipsoid((x * 0.8 + 22 * b, 112 * s, -14), (18 * b, 26 * s, 20), -0.4),
        Ellipsoid((x * 0.6 + 18 * b, 74 * s, 12), (a.knob, a.knob * 1.02, 34), 0.0),
        Ellipsoid((x * 0.6 + 20 * b, 160 * s, 48), (13, 100 * s, 13), -0.06),
        Ellipsoid((x * 0.8 - 14 * b, 102 * s, -24), (18, 46 * s, 18), 0.0),
        Ellipsoid((x * 0.7 - 22 * b, 86 * s, -6), (11, 52 * s, 11), 0.0),
    ]


def hull(parts: list[Ellipsoid], projection: Projection) -> Interval:
    """Entry and exit of every beam through parts that touch."""
    total = parts[0].interval(projection)
    for part in parts[1:]:
        total = total | part.interval(projection)
    return total


def breasts(a: Anatomy) -> list[Ellipsoid]:
    """Both breasts, half sunk into the chest wall."""
    r = a.breast
    front = -(108 * a.depth + a.fat)
    return [
        Ellipsoid(
            (s * (62 + 0.45 * r) * a.breadth, (150 + 0.75 * r) * a.stature, front), (r, r * 0.95, r * 0.8), s * 0.2
        )
        for s in (1.0, -1.0)
    ]


def lung_point(a: Anatomy, side: Side, across: float, down: float, deep: float) -> tuple[float, float, float]:
    """A point in a lung by its place.

    Args:
        across: 0 at the mediastinum to 1 at the ribs.
        down: 0 at the apex to 1 at the top of the diaphragm; beyond 1 lies the posterior recess.
        deep: -1 in front to 1 at the back.
    """
    y = down * a.dome_top(side)
    cx, cz, ax, az = hemithorax(a, side).at([y])[0]
    offset = sign(side) * (2 * across - 1)
    return float(cx + offset * ax), float(y), float(cz + deep * az * np.sqrt(max(0.0, 1 - offset**2)))
