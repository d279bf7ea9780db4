"""Nodules and masses: round soft tissue in the lung, up to 30 mm and beyond."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from medvlp.phantom.anatomy import Anatomy
from medvlp.phantom.findings.base import Drawing, Lesion, any_side, fresh_seed, register, zone
from medvlp.phantom.geometry import Ellipsoid, Floats
from medvlp.phantom.organs import lung_point
from medvlp.phantom.scene import Mask, Scene
from medvlp.phantom.strokes import rods


class Focal(Drawing):
    """Common to both: a lump of overlapping balls whose largest extent is `size_mm` at level 1."""

    finding: ClassVar[str]
    sizes: ClassVar[tuple[float, float]]
    lobes: ClassVar[tuple[int, int]]
    kinds: ClassVar[tuple[str, ...]] = ("smooth",)
    lumps: ClassVar[tuple[float, float]] = (0.7, 0.95)
    dense: ClassVar[float] = 0.1
    lasting = 0.97

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        down = float(rng.uniform(0.2, 0.88))
        inner = 0.35 if side == "right" or down < 0.5 else 0.55
        spot = (float(rng.uniform(inner, 0.82)), down, float(rng.uniform(-0.5, 0.5)))
        level = float(rng.uniform(0.15, 0.95))
        kind = str(rng.choice(self.kinds))
        return [Lesion(self.finding, side, zone(side, down), level, fresh_seed(rng), spot, self.sizes[1], kind)]

    def length(self, lesion: Lesion) -> float:
        """Diameter in mm."""
        return self.sizes[0] + (self.sizes[1] - self.sizes[0]) * lesion.level

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """A white round spot or lump, brightest in the middle; a spiculated one has fine rays."""
        rng = lesion.rng
        radius = self.length(lesion) / 2
        centre = np.array(lung_point(scene.anatomy, lesion.own_side, *lesion.spot))
        path = np.zeros(scene.projection.shape, np.float32)
        for _ in range(int(rng.integers(*self.lobes))):
            r = radius * float(rng.uniform(*self.lumps))
            x, y, z = centre + rng.normal(0, 1, 3) / np.sqrt(3) * (radius - r) * 1.3
            lobe = Ellipsoid((x, y, z), (r, r * float(rng.uniform(0.8, 1.0)), r), float(rng.uniform(0, 3)))
            path = np.maximum(path, lobe.chord(scene.projection))
        seen = path > 0.35 * radius
        if lesion.kind == "spiculated":
            scene.markings = scene.markings + self._spicules(scene, rng, centre, radius)
        scene.fill(lesion.own_side, path)
        scene.soft = scene.soft + self.dense * path * (scene.lung[lesion.own_side] > 0)
        return seen & (scene.lung[lesion.own_side] > 0)

    @staticmethod
    def _spicules(scene: Scene, rng: Generator, centre: NDArray[np.float64], radius: float) -> Floats:
        """Strands that radiate into the lung around."""
        ways = rng.normal(0, 1, (16, 3))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        ends = centre + ways * radius * rng.uniform(1.25, 1.6, (16, 1))
        return 2 * scene.draw(rods(scene.projection, centre + 0.7 * radius * ways, ends, np.full(16, 1.0)))


@register("nodule")
class Nodule(Focal):
    """One smooth round spot of 11 to 29 mm."""

    finding, sizes, lobes, rate, dense = "nodule", (11.0, 29.0), (1, 3), 0.14, 0.55


@register("mass")
class Mass(Focal):
    """One lobulated lump of 36 to 85 mm."""

    finding, sizes, lobes, rate, lumps = "mass", (36.0, 85.0), (6, 11), 0.11, (0.55, 0.85)
    kinds, dense = ("smooth", "spiculated"), 0.3
