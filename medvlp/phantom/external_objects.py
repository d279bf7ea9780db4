"""Objects in the image that are no finding: side markers, monitor electrodes with wires, sternal wires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from medvlp.phantom.geometry import Ellipsoid, View
from medvlp.phantom.materials import MaterialMaps

_LETTERS = {
    "L": ("1....", "1....", "1....", "1....", "1....", "1....", "11111"),
    "R": ("1111.", "1...1", "1...1", "1111.", "1.1..", "1..1.", "1...1"),
}


@dataclass(frozen=True)
class ExternalObjects:
    """Objects in one image besides the patient.

    Attributes:
        side_marker: letter of the side that it lies on, or None.
        marker_offset: its distance from the upper corner of that side, across and down, in mm.
        electrode_seed: seed of the electrodes of a monitor, or None.
    """

    side_marker: Literal["L", "R"] | None = None
    marker_offset: tuple[float, float] = (30.0, 30.0)
    electrode_seed: int | None = None


def sample_external_objects(rng: Generator, view: View) -> ExternalObjects:
    """Most images have a side marker, half of the bedside ones electrodes."""
    side_marker: Literal["L", "R"] | None = None
    if rng.random() < 0.75:
        side_marker = "L" if view == "LATERAL" or rng.random() < 0.6 else "R"
    at = (float(rng.uniform(16, 42)), float(rng.uniform(12, 70)))
    wired, seed = rng.random() < 0.5, int(rng.integers(2**31))
    return ExternalObjects(side_marker, at, seed if wired and view == "AP" else None)


def draw_external_objects(maps: MaterialMaps, external: ExternalObjects) -> None:
    """Add them to the maps, with the sternal wires of people who have them."""
    if external.side_marker is not None:
        _draw_marker(maps, external.side_marker, external.marker_offset)
    if external.electrode_seed is not None:
        _electrodes(maps, np.random.default_rng(external.electrode_seed))
    if maps.anatomy.sternal_wires:
        _sternal_wires(maps)


def _draw_marker(maps: MaterialMaps, side_marker: str, at: tuple[float, float]) -> None:
    """The patient's left is on the image's right, in a lateral view the front is."""
    height, width = maps.projection.shape
    cell = 2.6 / maps.pitch
    left = at[0] / maps.pitch if side_marker == "R" else width - at[0] / maps.pitch
    for row, line in enumerate(_LETTERS[side_marker]):
        for column, mark in enumerate(line):
            top, start = at[1] / maps.pitch + row * cell, left + (column - 2.5) * cell
            if mark == "1":
                rows = slice(max(0, round(top)), min(height, round(top + cell)))
                maps.metal[rows, max(0, round(start)) : min(width, round(start + cell))] = 9.0


def _electrodes(maps: MaterialMaps, rng: Generator) -> None:
    """Electrodes on the skin, each with a wire that leaves the image."""
    a = maps.anatomy
    front = -(105 * a.depth + a.fat)
    for x, y in ((-112, 42), (112, 46), (-100, 225), (96, 215))[: int(rng.integers(2, 5))]:
        position = np.array([x * a.breadth + rng.normal(0, 9), y * a.stature + rng.normal(0, 9), front])
        maps.bone += Ellipsoid((position[0], position[1], position[2]), (5.0, 5.0, 9.0)).chord(maps.projection)
        end = np.array([np.sign(x) * rng.uniform(60, 240), 340 if y > 100 or rng.random() < 0.5 else -110, front])
        bend = 0.5 * (position + end) + rng.normal(0, 26, 3) * [1, 1, 0]
        maps.bone += 7.0 * maps.project_tube(np.stack([position, bend, end]), 0.9)


def _sternal_wires(maps: MaterialMaps) -> None:
    """Six twisted loops of steel through the sternum, left by an operation on the heart."""
    a = maps.anatomy
    rng = np.random.default_rng([a.seed, 31])
    turn = np.linspace(0, 2 * np.pi, 9)
    for y in np.linspace(68, 178, 6) * a.stature:
        front = np.interp(y / a.stature, [48, 205], [-66, -110]) * a.depth
        tall, tilt = rng.uniform(4, 7), rng.normal(0, 0.12)
        loop = np.stack([11 * np.cos(turn), tall * np.sin(turn) + 11 * tilt * np.cos(turn), 0 * turn], axis=1)
        maps.metal += 0.55 * maps.project_tube(np.array([0, y, front]) + loop, 0.5)
