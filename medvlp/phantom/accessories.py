"""What lies on and in people without being a finding: lead letters, electrodes with their wires, sternal wires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from medvlp.phantom.geometry import Ellipsoid, View
from medvlp.phantom.scene import Scene

_LETTERS = {
    "L": ("1....", "1....", "1....", "1....", "1....", "1....", "11111"),
    "R": ("1111.", "1...1", "1...1", "1111.", "1.1..", "1..1.", "1...1"),
}


@dataclass(frozen=True)
class Accessories:
    """What one picture has besides the person.

    Attributes:
        letter: the lead letter of the side that it lies on, or None.
        letter_at: its distance from the upper corner of that side, across and down, in mm.
        leads: seed of the electrodes of a monitor, or None.
    """

    letter: Literal["L", "R"] | None = None
    letter_at: tuple[float, float] = (30.0, 30.0)
    leads: int | None = None


def sample_accessories(rng: Generator, view: View) -> Accessories:
    """Draw them: most pictures have a letter, half of those at the bedside have electrodes."""
    letter: Literal["L", "R"] | None = None
    if rng.random() < 0.75:
        letter = "L" if view == "LATERAL" or rng.random() < 0.6 else "R"
    at = (float(rng.uniform(16, 42)), float(rng.uniform(12, 70)))
    wired, seed = rng.random() < 0.5, int(rng.integers(2**31))
    return Accessories(letter, at, seed if wired and view == "AP" else None)


def draw_accessories(scene: Scene, accessories: Accessories) -> None:
    """Add them to the scene, with the sternal wires of people who have them."""
    if accessories.letter is not None:
        _letter(scene, accessories.letter, accessories.letter_at)
    if accessories.leads is not None:
        _leads(scene, np.random.default_rng(accessories.leads))
    if scene.anatomy.sternal_wires:
        _sternal_wires(scene)


def _letter(scene: Scene, letter: str, at: tuple[float, float]) -> None:
    """The patient's left is on the picture's right, in a lateral view the front is."""
    height, width = scene.projection.shape
    cell = 2.6 / scene.pitch
    left = at[0] / scene.pitch if letter == "R" else width - at[0] / scene.pitch
    for row, line in enumerate(_LETTERS[letter]):
        for column, mark in enumerate(line):
            top, start = at[1] / scene.pitch + row * cell, left + (column - 2.5) * cell
            if mark == "1":
                rows = slice(max(0, round(top)), min(height, round(top + cell)))
                scene.metal[rows, max(0, round(start)) : min(width, round(start + cell))] = 9.0


def _leads(scene: Scene, rng: Generator) -> None:
    """Electrodes on the skin, each with a wire that leaves the picture."""
    a = scene.anatomy
    front = -(105 * a.depth + a.fat)
    for x, y in ((-112, 42), (112, 46), (-100, 225), (96, 215))[: int(rng.integers(2, 5))]:
        spot = np.array([x * a.breadth + rng.normal(0, 9), y * a.stature + rng.normal(0, 9), front])
        scene.bone += Ellipsoid((spot[0], spot[1], spot[2]), (5.0, 5.0, 9.0)).chord(scene.projection)
        end = np.array([np.sign(x) * rng.uniform(60, 240), 340 if y > 100 or rng.random() < 0.5 else -110, front])
        bend = 0.5 * (spot + end) + rng.normal(0, 26, 3) * [1, 1, 0]
        scene.bone += 7.0 * scene.strand(np.stack([spot, bend, end]), 0.9)


def _sternal_wires(scene: Scene) -> None:
    """Six twisted loops of steel through the sternum, left by an operation on the heart."""
    a = scene.anatomy
    rng = np.random.default_rng([a.seed, 31])
    turn = np.linspace(0, 2 * np.pi, 9)
    for y in np.linspace(68, 178, 6) * a.stature:
        front = np.interp(y / a.stature, [48, 205], [-66, -110]) * a.depth
        tall, tilt = rng.uniform(4, 7), rng.normal(0, 0.12)
        loop = np.stack([11 * np.cos(turn), tall * np.sin(turn) + 11 * tilt * np.cos(turn), 0 * turn], axis=1)
        scene.metal += 0.55 * scene.strand(np.array([0, y, front]) + loop, 0.5)
