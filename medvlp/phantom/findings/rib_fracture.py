"""Rib fractures: a step and a gap in one to three neighbouring ribs, or the callus of old ones."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy
from medvlp.phantom.findings.base import Drawing, Lesion, any_side, fresh_seed, register
from medvlp.phantom.ribs import Break, rib_curve
from medvlp.phantom.scene import Mask, Scene

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh")


def fractured_ribs(lesion: Lesion) -> int:
    """How many neighbouring ribs are broken."""
    return 1 + int(3 * lesion.level)


@register("rib_fracture")
class RibFracture(Drawing):
    """Acute and displaced, or healed with callus."""

    rate, lasting = 0.12, 0.9

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        kind = "healed" if rng.random() < 0.35 else "acute"
        angle = rng.uniform(0.42, 0.85) if rng.random() < 0.7 else rng.uniform(0.85, 1.25)
        spot = (float(angle), float(rng.integers(3, 9)), 0.0)  # angle along the rib from the back, first rib
        return [Lesion("rib_fracture", side, "rib", float(rng.beta(2, 1.6)), fresh_seed(rng), spot, kind=kind)]

    def many(self, lesion: Lesion) -> bool:
        return fractured_ribs(lesion) > 1

    def words(self, lesion: Lesion) -> dict[str, str]:
        first, count = int(lesion.spot[1]) - 1, fractured_ribs(lesion)
        named = _ORDINALS[first : first + count]
        return {"ordinal": " and ".join(named) if count < 3 else f"{named[0]} through {named[-1]}"}

    def breaks(self, lesion: Lesion) -> tuple[Break, ...]:
        rng = lesion.rng
        callus = 0.95 if lesion.kind == "healed" else 0.0
        count = fractured_ribs(lesion)
        offset = (7 + 10 * lesion.level) * (0.35 if callus else 1.0) * rng.choice([-1.0, 1.0])
        angles = lesion.spot[0] + rng.normal(0, 0.05, count)
        return tuple(
            Break(lesion.own_side, int(lesion.spot[1]) + i, float(angle), float(offset), callus)
            for i, angle in enumerate(angles)
        )

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """The scene's ribs are broken already; blood under the pleura is added, and the places are marked."""
        seen = np.zeros(scene.projection.shape, bool)
        blood = 0.0 if lesion.kind == "healed" else 10 + 12 * lesion.level
        for b in self.breaks(lesion):
            spot = rib_curve(scene.anatomy, b.side, b.rib, np.array([b.angle]))
            row, column = (float(v[0]) for v in scene.projection.pixels(spot))
            rows = (np.arange(seen.shape[0], dtype=np.float32)[:, None] - np.float32(row)) * scene.pitch
            columns = (np.arange(seen.shape[1], dtype=np.float32)[None, :] - np.float32(column)) * scene.pitch
            distance = rows**2 + columns**2
            scene.soft += np.float32(blood) * np.exp(-distance / np.float32(11**2))
            seen |= distance < 13**2
        return seen
