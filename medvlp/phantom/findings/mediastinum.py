"""Findings of the mediastinum: cardiomegaly and hiatal hernia."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import SIDES, Anatomy
from medvlp.phantom.findings.base import FindingModel, Lesion, register_finding, sample_seed
from medvlp.phantom.geometry import Ellipsoid
from medvlp.phantom.materials import Mask, MaterialMaps


@register_finding("cardiomegaly")
class Cardiomegaly(FindingModel):
    """A heart wider than half the chest."""

    rate, persistence = 0.24, 0.93

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        return [Lesion("cardiomegaly", None, "heart_size", float(rng.beta(1.4, 1.6)), sample_seed(rng))]

    def deform(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        return anatomy.with_changes(heart=1.2 + 0.32 * lesion.level + 0.3 * (anatomy.heart - 1))

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """The heart is wide already, by `deform`: nothing is added, and it is marked as a whole."""
        return maps.heart


@register_finding("hiatal_hernia")
class HiatalHernia(FindingModel):
    """A round shadow near the midline whose upper part is dark and ends in a straight line."""

    rate, persistence = 0.11, 0.99

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        position = (float(rng.normal(8, 6)), 0.0, 0.0)
        level = float(rng.beta(1.6, 1.4))
        return [Lesion("hiatal_hernia", None, "retrocardiac", level, sample_seed(rng), position, 105.0)]

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A round shadow through the heart, dark in its upper part, with a straight level between air and fluid."""
        a, p, rng = maps.anatomy, maps.projection, lesion.rng
        r = 21 + 31 * lesion.level
        floor = a.dome_top("right") + 10
        sac = Ellipsoid((lesion.position[0] + a.shift, floor - 0.55 * r, 38), (r * 1.12, r * 0.9, r * 0.85))
        chord = sac.chord(p)
        for side in SIDES:
            part = np.minimum(chord, maps.lung[side])
            maps.fill_lung(side, part)
        inner = Ellipsoid(sac.center, (sac.radii[0] - 4, sac.radii[1] - 4, sac.radii[2] - 4)).chord(p)
        surface = sac.center[1] + float(rng.uniform(-0.25, 0.2)) * r
        air = inner * np.clip((surface - p.y) / maps.pitch + 0.5, 0, 1).astype(np.float32)
        maps.soft = maps.soft - 0.9 * air
        return chord > 0.3 * r
