"""Nodules and masses: round soft tissue in the lung, up to 30 mm and beyond."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.random import Generator

from medvlp.data.phantom.anatomy import Anatomy
from medvlp.data.phantom.findings.base import Drawing, Lesion, any_side, fresh_seed, register, zone
from medvlp.data.phantom.geometry import Ellipsoid
from medvlp.data.phantom.organs import lung_point
from medvlp.data.phantom.scene import Mask, Scene


class Focal(Drawing):
    """Common to both: a lump of overlapping balls whose largest extent is `size_mm` at level 1."""

    finding: ClassVar[str]
    sizes: ClassVar[tuple[float, float]]
    lobes: ClassVar[tuple[int, int]]
    dense: ClassVar[float] = 0.1
    lasting = 0.97

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        down = float(rng.uniform(0.2, 0.88))
        inner = 0.35 if side == "right" or down < 0.5 else 0.55
        spot = (float(rng.uniform(inner, 0.82)), down, float(rng.uniform(-0.5, 0.5)))
        level = float(rng.uniform(0.15, 0.95))
        return [Lesion(self.finding, side, zone(side, down), level, fresh_seed(rng), spot, self.sizes[1])]

    def length(self, lesion: Lesion) -> float:
        """Diameter in mm."""
        return self.sizes[0] + (self.sizes[1] - self.sizes[0]) * lesion.level

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        rng = lesion.rng
        radius = self.length(lesion) / 2
        centre = np.array(lung_point(scene.anatomy, lesion.own_side, *lesion.spot))
        path = np.zeros(scene.projection.shape, np.float32)
        for _ in range(int(rng.integers(*self.lobes))):
            r = radius * float(rng.uniform(0.62, 0.9))
            x, y, z = centre + rng.normal(0, 1, 3) / np.sqrt(3) * (radius - r)
            lobe = Ellipsoid((x, y, z), (r, r * float(rng.uniform(0.8, 1.0)), r), float(rng.uniform(0, 3)))
            path = np.maximum(path, lobe.chord(scene.projection))
        seen = path > 0.35 * radius
        scene.fill(lesion.own_side, path)
        scene.soft = scene.soft + self.dense * path * (scene.lung[lesion.own_side] > 0)
        return seen & (scene.lung[lesion.own_side] > 0)


@register("nodule")
class Nodule(Focal):
    """One smooth round spot of 9 to 28 mm."""

    finding, sizes, lobes, rate, dense = "nodule", (11.0, 29.0), (1, 3), 0.14, 0.55


@register("mass")
class Mass(Focal):
    """One lobulated lump of 34 to 85 mm."""

    finding, sizes, lobes, rate = "mass", (36.0, 85.0), (4, 8), 0.11
