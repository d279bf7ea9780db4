"""Hiatal hernia: stomach behind the heart, above the diaphragm, with air over a flat level of fluid."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import SIDES, Anatomy
from medvlp.phantom.findings.base import Drawing, Lesion, fresh_seed, register
from medvlp.phantom.geometry import Ellipsoid
from medvlp.phantom.scene import Mask, Scene


@register("hiatal_hernia")
class HiatalHernia(Drawing):
    """A round shadow near the midline whose upper part is dark and ends in a straight line."""

    rate, lasting = 0.11, 0.99

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        spot = (float(rng.normal(8, 6)), 0.0, 0.0)
        return [Lesion("hiatal_hernia", None, "retrocardiac", float(rng.beta(1.6, 1.4)), fresh_seed(rng), spot, 105.0)]

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """A round shadow through the heart, dark in its upper part, with a straight level between air and fluid."""
        a, p, rng = scene.anatomy, scene.projection, lesion.rng
        r = 21 + 31 * lesion.level
        floor = a.dome_top("right") + 10
        sac = Ellipsoid((lesion.spot[0] + a.shift, floor - 0.55 * r, 38), (r * 1.12, r * 0.9, r * 0.85))
        chord = sac.chord(p)
        for side in SIDES:
            part = np.minimum(chord, scene.lung[side])
            scene.fill(side, part)
        inner = Ellipsoid(sac.centre, (sac.radii[0] - 4, sac.radii[1] - 4, sac.radii[2] - 4)).chord(p)
        surface = sac.centre[1] + float(rng.uniform(-0.25, 0.2)) * r
        air = inner * np.clip((surface - p.y) / scene.pitch + 0.5, 0, 1).astype(np.float32)
        scene.soft = scene.soft - 0.9 * air
        return chord > 0.3 * r
