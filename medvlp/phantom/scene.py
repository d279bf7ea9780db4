"""`Scene`: one chest before one beam, as maps of millimetres of each material; findings change it by its verbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.phantom.anatomy import Anatomy, Side, sign
from medvlp.phantom.geometry import Floats, Interval, Projection, Stack
from medvlp.phantom.strokes import Cloud, deposit, spline, tube

Mask = NDArray[np.bool_]

# linear attenuation in 1/mm near 65 keV, about the effective energy of a chest exposure at 120 kV (rounded)
MU_SOFT, MU_FAT, MU_BONE, MU_METAL = 0.0200, 0.0180, 0.0520, 0.35


@dataclass
class Scene:
    """Path lengths `[H, W]` in millimetres of what the beam meets; findings change them in place.

    Attributes:
        anatomy, projection: whose chest, and how it is seen.
        space: per side, the space inside the ribs.
        centre: heart, great vessels and what lies between the lungs; it keeps both lungs out, as do
        spine: the spine with what lies beside it, and
        domes: per side, what lies under the diaphragm.
        lung: per side, lung with air in it.
        soft: soft tissue as if there were no lung; less where air takes its place.
        markings: vessels within the lung.
        bone, metal, fat: as they say.
        lungs, heart: outlines of the lung fields and of the heart.
    """

    anatomy: Anatomy
    projection: Projection
    space: dict[Side, Stack]
    centre: Interval
    spine: Interval
    domes: dict[Side, Interval]
    lung: dict[Side, Floats]
    soft: Floats
    fat: Floats
    markings: Floats
    bone: Floats
    metal: Floats
    lungs: Mask
    heart: Mask

    @property
    def pitch(self) -> float:
        """Millimetres a pixel."""
        return self.projection.pitch

    def aerated(self, space: Stack, side: Side) -> Floats:
        """Path lengths through a space of one side that heart, spine and diaphragm leave to the lung."""
        return left_over(space.interval(self.projection), (self.centre, self.spine, self.domes[side]))

    def withdrawn(self, side: Side, gap: ArrayLike) -> Stack:
        """The space of a lung withdrawn from the ribs by `gap` mm at each level of `space`."""
        space = self.space[side]
        return space.withdrawn(np.asarray(gap, dtype=np.float64), towards=-sign(side))

    def between(self, side: Side, lung: Stack) -> Floats:
        """Path lengths between the ribs and a lung that has withdrawn into a smaller space."""
        return np.maximum(self.aerated(self.space[side], side) - self.aerated(lung, side), 0)

    def fill(self, side: Side, path: Floats) -> None:
        """Put soft tissue in the place of `path` mm of lung; its vessels drown in it."""
        path = np.minimum(path, self.lung[side])
        self.markings = (self.markings * (1 - path / np.maximum(self.lung[side], 1))).astype(np.float32)
        self.lung[side] = self.lung[side] - path

    def empty(self, side: Side, path: Floats) -> None:
        """Put air in the place of `path` mm of lung."""
        path = np.minimum(path, self.lung[side])
        self.soft = self.soft - path * np.float32(self.anatomy.lung_density)

    def draw(self, cloud: Cloud) -> Floats:
        """Path lengths of a cloud."""
        return deposit(self.projection, cloud)

    def strand(self, points: ArrayLike, radius: float, inner: float = 0.0) -> Floats:
        """Path lengths of a smooth tube through points `[K, 3]`."""
        return self.draw(tube(self.projection, spline(points, self.pitch), radius, inner))

    def texture(self, seed: int, grain: float) -> Floats:
        """Smooth noise of unit variance with structures of about `grain` mm; the same at every size of the picture."""
        return texture(self.projection, seed, grain)

    def line_integral(self) -> Floats:
        """Attenuation along each beam, dimensionless."""
        lung = self.lung["left"] + self.lung["right"]
        air = np.float32(1 - self.anatomy.lung_density)
        tissue = np.maximum(self.soft - air * (lung - np.minimum(self.markings, lung)), 0)
        return (
            np.float32(MU_SOFT) * tissue
            + np.float32(MU_FAT) * self.fat
            + np.float32(MU_BONE - MU_SOFT) * self.bone
            + np.float32(MU_METAL) * self.metal
        )


def left_over(space: Interval, takers: Sequence[Interval]) -> Floats:
    """Path lengths through a space that none of up to three solids takes (inclusion and exclusion)."""
    parts = [space & taker for taker in takers]
    length = space.length
    for first, part in enumerate(parts):
        length = length - part.length
        for second in range(first + 1, len(parts)):
            both = part & parts[second]
            length += both.length
            for third in range(second + 1, len(parts)):
                length -= (both & parts[third]).length
    return np.maximum(length, 0)


def texture(projection: Projection, seed: int, grain: float) -> Floats:
    """Smooth noise of unit variance with structures of about `grain` mm; the same at every size of the picture."""
    height, width = projection.shape
    cells = int(np.ceil(max(height, width) * projection.pitch / grain)) + 4
    field = np.random.default_rng(seed).standard_normal((cells, cells), dtype=np.float32)
    rows = np.arange(height, dtype=np.float32) * np.float32(projection.pitch / grain) + 1
    columns = np.arange(width, dtype=np.float32) * np.float32(projection.pitch / grain) + 1
    return np.asarray(_weights(rows, cells) @ field @ _weights(columns, cells).T, dtype=np.float32)


def _weights(at: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Smooth interpolation from `cells` samples as a matrix `[N, cells]`, scaled to keep unit variance."""
    distance = np.abs(at[:, None] - np.arange(cells, dtype=np.float32))
    weights: NDArray[np.float32] = np.where(distance < 1.5, np.cos(distance * np.float32(np.pi / 3)) ** 2, 0).astype(
        np.float32
    )
    weights /= np.sqrt((weights * weights).sum(axis=1, keepdims=True))
    return weights
