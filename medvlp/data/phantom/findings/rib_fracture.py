"""Rib fractures: a step and a gap in one to three neighbouring ribs, or the callus of old ones."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.data.phantom.anatomy import Anatomy
from medvlp.data.phantom.findings.base import Drawing, Lesion, any_side, fresh_seed, register
from medvlp.data.phantom.scene import Mask, Scene
from medvlp.data.phantom.skeleton import Break, rib_curve


@register("rib_fracture")
class RibFracture(Drawing):
    """Acute and displaced, or healed with callus."""

    rate, lasting = 0.12, 0.9

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        kind = "healed" if rng.random() < 0.35 else "acute"
        spot = (float(rng.uniform(0.9, 1.75)), float(rng.integers(4, 9)), 0.0)  # angle along the rib, first rib
        return [Lesion("rib_fracture", side, "rib", float(rng.beta(2, 1.6)), fresh_seed(rng), spot, kind=kind)]

    def breaks(self, lesion: Lesion) -> tuple[Break, ...]:
        rng = lesion.rng
        callus = 0.9 if lesion.kind == "healed" else 0.0
        count = 1 + int(2.3 * lesion.level)
        offset = (4 + 9 * lesion.level) * (0.45 if callus else 1.0) * rng.choice([-1.0, 1.0])
        angles = lesion.spot[0] + rng.normal(0, 0.05, count)
        return tuple(
            Break(lesion.own_side, int(lesion.spot[1]) + i, float(angle), float(offset), callus)
            for i, angle in enumerate(angles)
        )

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        seen = np.zeros(scene.projection.shape, bool)
        for b in self.breaks(lesion):
            spot = rib_curve(scene.anatomy, b.side, b.rib, np.array([b.angle]))
            row, column = (float(v[0]) for v in scene.projection.pixels(spot))
            near = 15.0 / scene.pitch
            rows = np.arange(seen.shape[0])[:, None] - row
            columns = np.arange(seen.shape[1])[None, :] - column
            seen |= rows**2 + columns**2 < near**2
        return seen
