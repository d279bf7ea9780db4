"""`Scene`: one chest before one beam, as maps of millimetres of each material, and the verbs by which findings change it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.data.phantom.anatomy import Anatomy, Side
from medvlp.data.phantom.geometry import Floats, Interval, Projection, Stack
from medvlp.data.phantom.strokes import Cloud, deposit, spline, tube

Mask = NDArray[np.bool_]

# linear attenuation in 1/mm near 65 keV, about the effective energy of a chest exposure at 120 kV (rounded)
MU_SOFT, MU_FAT, MU_BONE, MU_METAL = 0.0200, 0.0180, 0.0520, 0.35


@dataclass
class Scene:
    """Path lengths `[H, W]` in millimetres of what the beam meets; findings change them in place.

    Attributes:
        anatomy, projection: whose chest, and how it is seen.
        space: per side, the space inside the ribs.
        centre: heart, great vessels and what lies between the lungs, which keeps both of them out.
        domes: per side, what the diaphragm keeps from the lung.
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
        """Path lengths through a space of one side that neither the middle of the chest nor the diaphragm takes."""
        return aerated(space.interval(self.projection), self.centre, self.domes[side])

    def rim(self, side: Side, gap: ArrayLike) -> tuple[Floats, Stack]:
        """Path lengths between the ribs and a lung withdrawn by `gap` mm at each level of `space`; that lung's space."""
        space = self.space[side]
        inner = space.withdrawn(np.asarray(gap, dtype=np.float64), towards=-space.sections[100, 0])
        return np.maximum(self.aerated(space, side) - self.aerated(inner, side), 0), inner

    def fill(self, side: Side, path: Floats) -> None:
        """Put soft tissue in the place of `path` mm of lung; its vessels drown in it."""
        path = np.minimum(path, self.lung[side])
        self.markings = self.markings * (1 - path / np.maximum(self.lung[side], 1.0))
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
        step = 0.8 * self.pitch
        return self.draw(tube(spline(points, step), radius, step, inner))

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


def aerated(space: Interval, centre: Interval, dome: Interval) -> Floats:
    """Path lengths through a space that neither the middle of the chest nor the diaphragm takes."""
    middle = space & centre
    taken = middle.length + (space & dome).length - (middle & dome).length
    return np.maximum(space.length - taken, 0)


def texture(projection: Projection, seed: int, grain: float) -> Floats:
    """Smooth noise of unit variance with structures of about `grain` mm; the same at every size of the picture."""
    height, width = projection.shape
    cells = int(np.ceil(max(height, width) * projection.pitch / grain)) + 4
    field = np.random.default_rng(seed).standard_normal((cells, cells), dtype=np.float32)
    rows = np.arange(height, dtype=np.float32) * np.float32(projection.pitch / grain) + 1
    columns = np.arange(width, dtype=np.float32) * np.float32(projection.pitch / grain) + 1
    return _weights(rows, cells) @ field @ _weights(columns, cells).T


def _weights(at: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Smooth interpolation from `cells` samples as a matrix `[N, cells]`, scaled to keep unit variance."""
    distance = np.abs(at[:, None] - np.arange(cells, dtype=np.float32))
    weights = np.where(distance < 1.5, np.cos(distance * np.float32(np.pi / 3)) ** 2, 0).astype(np.float32)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)
