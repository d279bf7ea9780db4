"""`Anatomy`: the parameters of one person's chest, which findings may change.

All proportions are our own estimates of an adult chest, chosen so that the images look right beside real ones; none
is a measurement of a population.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")


def sign(side: Side) -> float:
    """+1 for the patient's left (x grows to the left), -1 for the right."""
    return 1.0 if side == "left" else -1.0


@dataclass(frozen=True)
class Anatomy:
    """One person's chest. Lengths in mm, scales relative to a middle-sized adult.

    Attributes:
        seed: of what varies at random inside: vessels, bowel gas.
        age, sex: years, `M` or `F`.
        stature, breadth, depth: scales along y, x and z.
        fat: thickness of the fat under the skin.
        breast: radius of the breast, 0 for none.
        heart: scale of the heart across; about 1.0 is a cardiothoracic ratio of 0.45.
        heart_tilt: of its long axis from the vertical, radians.
        aortic_knob: radius of the aortic arch.
        scoliosis: sideways bow of the spine.
        kyphosis: added bow of the spine to the back.
        rib_drop: scale of how far ribs descend from back to front.
        mineral: density of bone.
        sternal_wires: whether the sternum holds wires of a heart operation.
        inflation: how far the diaphragm stands below its usual level.
        flatness: of the diaphragm, 0 (domes) to 1.
        rise_left, rise_right: how far a dome is pulled up.
        shift: of the mediastinum, towards the left.
        aeration: density of the lung relative to normal.
        vessels: caliber of the vessels relative to normal.
    """

    seed: int
    age: int
    sex: str
    stature: float = 1.0
    breadth: float = 1.0
    depth: float = 1.0
    fat: float = 14.0
    breast: float = 0.0
    heart: float = 1.0
    heart_tilt: float = 0.75
    aortic_knob: float = 17.0
    scoliosis: float = 0.0
    kyphosis: float = 0.0
    rib_drop: float = 1.0
    mineral: float = 1.0
    sternal_wires: bool = False
    inflation: float = 0.0
    flatness: float = 0.0
    rise_left: float = 0.0
    rise_right: float = 0.0
    shift: float = 0.0
    aeration: float = 1.0
    vessels: float = 1.0

    def with_changes(self, **changes: Any) -> Anatomy:
        """A copy with some parameters replaced."""
        return replace(self, **changes)

    def rise(self, side: Side) -> float:
        """How far that dome is pulled up."""
        return self.rise_left if side == "left" else self.rise_right

    def dome_top(self, side: Side) -> float:
        """Level of the top of the diaphragm; the right one stands higher."""
        return (216.0 if side == "left" else 204.0) * self.stature + self.inflation - self.rise(side)

    @property
    def lung_density(self) -> float:
        """Density of the lung relative to soft tissue."""
        return 0.26 * self.aeration


def sample_anatomy(rng: Generator) -> Anatomy:
    """Sample one adult."""
    sex = "F" if rng.random() < 0.48 else "M"
    age = int(np.clip(rng.normal(61, 17), 19, 92))
    build = rng.normal()  # slim to large
    scale = 0.94 if sex == "F" else 1.0
    old = np.clip((age - 45) / 40, 0, 1.2)
    return Anatomy(
        seed=int(rng.integers(2**31)),
        age=age,
        sex=sex,
        stature=float(np.clip(scale * rng.normal(1.0, 0.045), 0.84, 1.12)),
        breadth=float(np.clip(scale * rng.normal(1.0, 0.045) + 0.02 * build, 0.84, 1.14)),
        depth=float(np.clip(scale * rng.normal(1.0, 0.05) + 0.04 * build + 0.03 * old, 0.82, 1.2)),
        fat=float(np.clip(14 + 9 * build + rng.normal(0, 3), 4, 48)),
        breast=float(np.clip(52 + 14 * build + rng.normal(0, 9), 28, 88)) if sex == "F" else 0.0,
        heart=float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.07)),
        heart_tilt=float(rng.normal(0.75, 0.1)),
        aortic_knob=float(np.clip(15.5 + 4 * old + rng.normal(0, 1.5), 12, 25)),
        scoliosis=float(rng.normal(0, 3.5)),
        kyphosis=float(max(0.0, rng.normal(6 * old, 6))),
        rib_drop=float(rng.normal(1.0, 0.08)),
        mineral=float(np.clip(rng.normal(1.05 - 0.22 * old, 0.08), 0.6, 1.3)),
        sternal_wires=bool(rng.random() < 0.2 * old),
    )
