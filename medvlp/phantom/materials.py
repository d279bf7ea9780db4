"""`MaterialMaps`: the path length of each beam through each material of a chest; findings change these maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.phantom.anatomy import Anatomy, Side, sign
from medvlp.phantom.geometry import Floats, Interval, Projection, SectionStack
from medvlp.phantom.point_clouds import PointCloud, project_points, spline, tube

Mask = NDArray[np.bool_]

# linear attenuation in 1/mm near 65 keV, about the effective energy of a chest exposure at 120 kV (rounded)
MU_SOFT, MU_FAT, MU_BONE, MU_METAL = 0.0200, 0.0180, 0.0520, 0.35


@dataclass
class MaterialMaps:
    """Path lengths `[H, W]` in millimeters through each material; findings change them in place.

    Attributes:
        anatomy, projection: whose chest, and how it is seen.
        hemithorax: per side, the space inside the ribs.
        mediastinum: heart, great vessels and all between the lungs; this, the spine and the domes are not lung.
        spine: the spine with the muscles beside it.
        domes: per side, what lies under the diaphragm.
        lung: per side, aerated lung.
        soft: soft tissue as if there were no lung; less where air replaces it.
        markings: vessels within the lung.
        bone, metal, fat: path lengths in each.
        lungs, heart: outlines of the lung fields and of the heart.
    """

    anatomy: Anatomy
    projection: Projection
    hemithorax: dict[Side, SectionStack]
    mediastinum: Interval
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
        """Pixel spacing in mm."""
        return self.projection.pitch

    def lung_path(self, space: SectionStack, side: Side) -> Floats:
        """Path lengths through the part of a space that heart, spine and diaphragm leave to the lung."""
        return path_outside(space.interval(self.projection), (self.mediastinum, self.spine, self.domes[side]))

    def collapsed(self, side: Side, gap: ArrayLike) -> SectionStack:
        """The space of a lung that has withdrawn from the ribs by `gap` mm at each level."""
        space = self.hemithorax[side]
        return space.shrunk(np.asarray(gap, dtype=np.float64), towards=-sign(side))

    def pleural_space(self, side: Side, lung: SectionStack) -> Floats:
        """Path lengths between the ribs and a lung that has withdrawn into a smaller space."""
        return np.maximum(self.lung_path(self.hemithorax[side], side) - self.lung_path(lung, side), 0)

    def fill_lung(self, side: Side, path: Floats) -> None:
        """Replace `path` mm of lung by soft tissue; its vessels are no longer visible."""
        path = np.minimum(path, self.lung[side])
        self.markings = (self.markings * (1 - path / np.maximum(self.lung[side], 1))).astype(np.float32)
        self.lung[side] = self.lung[side] - path

    def replace_with_air(self, side: Side, path: Floats) -> None:
        """Replace `path` mm of lung by air."""
        path = np.minimum(path, self.lung[side])
        self.soft = self.soft - path * np.float32(self.anatomy.lung_density)

    def project(self, cloud: PointCloud) -> Floats:
        """Path lengths of a point cloud."""
        return project_points(self.projection, cloud)

    def project_tube(self, points: ArrayLike, radius: float, inner: float = 0.0) -> Floats:
        """Path lengths of a smooth tube through points `[K, 3]`."""
        return self.project(tube(self.projection, spline(points, self.pitch), radius, inner))

    def texture(self, seed: int, grain: float) -> Floats:
        """Smooth noise of unit variance with structures of about `grain` mm; the same at every size of the image."""
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


def path_outside(space: Interval, solids: Sequence[Interval]) -> Floats:
    """Path lengths through a space outside up to three solids (by inclusion and exclusion)."""
    parts = [space & solid for solid in solids]
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
    """Smooth noise of unit variance with structures of about `grain` mm; the same at every size of the image."""
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
