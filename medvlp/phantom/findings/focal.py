"""Nodules and masses: round soft tissue in the lung, up to 30 mm and beyond."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from medvlp.phantom.anatomy import Anatomy
from medvlp.phantom.findings.base import FindingModel, Lesion, lung_zone, register_finding, sample_seed, sample_side
from medvlp.phantom.geometry import Ellipsoid, Floats
from medvlp.phantom.materials import Mask, MaterialMaps
from medvlp.phantom.organs import lung_point
from medvlp.phantom.point_clouds import rods


class Focal(FindingModel):
    """Common to both: a lump of overlapping balls whose largest extent is `size_mm` at level 1."""

    finding: ClassVar[str]
    sizes: ClassVar[tuple[float, float]]
    lobes: ClassVar[tuple[int, int]]
    kinds: ClassVar[tuple[str, ...]] = ("smooth",)
    lumps: ClassVar[tuple[float, float]] = (0.7, 0.95)
    interpolate_table: ClassVar[float] = 0.1
    persistence = 0.97

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = sample_side(rng)
        down = float(rng.uniform(0.2, 0.88))
        inner = 0.35 if side == "right" or down < 0.5 else 0.55
        position = (float(rng.uniform(inner, 0.82)), down, float(rng.uniform(-0.5, 0.5)))
        level = float(rng.uniform(0.15, 0.95))
        kind = str(rng.choice(self.kinds))
        return [
            Lesion(self.finding, side, lung_zone(side, down), level, sample_seed(rng), position, self.sizes[1], kind)
        ]

    def reported_length(self, lesion: Lesion) -> float:
        """Diameter in mm."""
        return self.sizes[0] + (self.sizes[1] - self.sizes[0]) * lesion.level

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A white round spot or lump, brightest in the middle; a spiculated one has fine rays."""
        rng = lesion.rng
        radius = self.reported_length(lesion) / 2
        center = np.array(lung_point(maps.anatomy, lesion.required_side, *lesion.position))
        path = np.zeros(maps.projection.shape, np.float32)
        for _ in range(int(rng.integers(*self.lobes))):
            r = radius * float(rng.uniform(*self.lumps))
            x, y, z = center + rng.normal(0, 1, 3) / np.sqrt(3) * (radius - r) * 1.3
            lobe = Ellipsoid((x, y, z), (r, r * float(rng.uniform(0.8, 1.0)), r), float(rng.uniform(0, 3)))
            path = np.maximum(path, lobe.chord(maps.projection))
        seen = path > 0.35 * radius
        if lesion.kind == "spiculated":
            maps.markings = maps.markings + self._spicules(maps, rng, center, radius)
        maps.fill_lung(lesion.required_side, path)
        maps.soft = maps.soft + self.interpolate_table * path * (maps.lung[lesion.required_side] > 0)
        return seen & (maps.lung[lesion.required_side] > 0)

    @staticmethod
    def _spicules(maps: MaterialMaps, rng: Generator, center: NDArray[np.float64], radius: float) -> Floats:
        """Strands that radiate into the lung around."""
        ways = rng.normal(0, 1, (16, 3))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        ends = center + ways * radius * rng.uniform(1.25, 1.6, (16, 1))
        return 2 * maps.project(rods(maps.projection, center + 0.7 * radius * ways, ends, np.full(16, 1.0)))


@register_finding("nodule")
class Nodule(Focal):
    """One smooth round spot of 11 to 29 mm."""

    finding, sizes, lobes, rate, interpolate_table = "nodule", (11.0, 29.0), (1, 3), 0.14, 0.55


@register_finding("mass")
class Mass(Focal):
    """One lobulated lump of 36 to 85 mm."""

    finding, sizes, lobes, rate, lumps = "mass", (36.0, 85.0), (6, 11), 0.11, (0.55, 0.85)
    kinds, interpolate_table = ("smooth", "spiculated"), 0.3
