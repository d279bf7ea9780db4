"""Rib fractures: a step and a gap in one to three neighboring ribs, or the callus of old ones."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy
from medvlp.phantom.findings.base import FindingModel, Lesion, register_finding, sample_seed, sample_side
from medvlp.phantom.materials import Mask, MaterialMaps
from medvlp.phantom.skeleton import Fracture, rib_curve

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh")


def fractured_ribs(lesion: Lesion) -> int:
    """How many neighboring ribs are broken."""
    return 1 + int(3 * lesion.level)


@register_finding("rib_fracture")
class RibFracture(FindingModel):
    """Acute and displaced, or healed with callus."""

    rate, persistence = 0.12, 0.9

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = sample_side(rng)
        kind = "healed" if rng.random() < 0.35 else "acute"
        angle = rng.uniform(0.42, 0.85) if rng.random() < 0.7 else rng.uniform(0.85, 1.25)
        position = (float(angle), float(rng.integers(3, 9)), 0.0)  # angle along the rib from the back, first rib
        return [Lesion("rib_fracture", side, "rib", float(rng.beta(2, 1.6)), sample_seed(rng), position, kind=kind)]

    def is_plural(self, lesion: Lesion) -> bool:
        return fractured_ribs(lesion) > 1

    def template_words(self, lesion: Lesion) -> dict[str, str]:
        first, count = int(lesion.position[1]) - 1, fractured_ribs(lesion)
        named = _ORDINALS[first : first + count]
        return {"ordinal": " and ".join(named) if count < 3 else f"{named[0]} through {named[-1]}"}

    def fractures(self, lesion: Lesion) -> tuple[Fracture, ...]:
        rng = lesion.rng
        callus = 0.95 if lesion.kind == "healed" else 0.0
        count = fractured_ribs(lesion)
        offset = (7 + 10 * lesion.level) * (0.35 if callus else 1.0) * rng.choice([-1.0, 1.0])
        angles = lesion.position[0] + rng.normal(0, 0.05, count)
        return tuple(
            Fracture(lesion.required_side, int(lesion.position[1]) + i, float(angle), float(offset), callus)
            for i, angle in enumerate(angles)
        )

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """The ribs are fractured already; blood under the pleura is added, and the places are marked."""
        seen = np.zeros(maps.projection.shape, bool)
        blood = 0.0 if lesion.kind == "healed" else 10 + 12 * lesion.level
        for b in self.fractures(lesion):
            position = rib_curve(maps.anatomy, b.side, b.rib, np.array([b.angle]))
            row, column = (float(v[0]) for v in maps.projection.pixels(position))
            rows = (np.arange(seen.shape[0], dtype=np.float32)[:, None] - np.float32(row)) * maps.pitch
            columns = (np.arange(seen.shape[1], dtype=np.float32)[None, :] - np.float32(column)) * maps.pitch
            distance = rows**2 + columns**2
            maps.soft += np.float32(blood) * np.exp(-distance / np.float32(11**2))
            seen |= distance < 13**2
        return seen
