"""Findings that are a shape of the chest itself: cardiomegaly and emphysema."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import SIDES, Anatomy
from medvlp.phantom.findings.base import Drawing, Lesion, fresh_seed, register
from medvlp.phantom.geometry import Ellipsoid
from medvlp.phantom.organs import lung_point
from medvlp.phantom.scene import Mask, Scene


@register("cardiomegaly")
class Cardiomegaly(Drawing):
    """A heart wider than half the chest."""

    rate, lasting = 0.24, 0.93

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        return [Lesion("cardiomegaly", None, "heart_size", float(rng.beta(1.4, 1.6)), fresh_seed(rng))]

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        return anatomy.changed(heart=1.2 + 0.32 * lesion.level + 0.3 * (anatomy.heart - 1))

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """The heart is wide already, by `shape`: nothing is added, and it is marked as a whole."""
        return scene.heart


@register("emphysema")
class Emphysema(Drawing):
    """Large dark lungs, flat domes, a slender heart, sparse vessels, and thin-walled bullae in the upper zones."""

    rate, lasting = 0.13, 0.99

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        return [Lesion("emphysema", None, "parenchymal", float(rng.beta(1.6, 1.5)), fresh_seed(rng))]

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        k = lesion.level
        return anatomy.changed(
            inflation=anatomy.inflation + 12 + 20 * k,
            flatness=0.45 + 0.5 * k,
            heart=anatomy.heart * (0.95 - 0.08 * k),
            depth=anatomy.depth * (1.03 + 0.05 * k),
            aeration=anatomy.aeration * (0.68 - 0.3 * k),
            vessels=anatomy.vessels * (0.8 - 0.3 * k),
        )

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """Dark round holes without vessels, each in a hair-thin bright ring; both lungs are marked as a whole."""
        rng = lesion.rng
        for side in SIDES:
            for _ in range(rng.integers(0, 2 + int(4 * lesion.level))):
                spot = lung_point(
                    scene.anatomy, side, rng.uniform(0.45, 0.9), rng.uniform(0.08, 0.4), rng.uniform(-0.3, 0.3)
                )
                r = float(rng.uniform(11, 20) * (0.7 + 0.6 * lesion.level))
                bulla = Ellipsoid(spot, (r, r * float(rng.uniform(0.8, 1.2)), r))
                wall = bulla.chord(scene.projection) - Ellipsoid(spot, (r - 0.8, bulla.radii[1] - 0.8, r - 0.8)).chord(
                    scene.projection
                )
                inside = bulla.chord(scene.projection)
                clear = np.clip(inside / r, 0, 1)
                scene.markings = scene.markings * (1 - 0.8 * clear)
                scene.empty(side, inside)
                scene.soft = scene.soft + 0.5 * np.minimum(wall, 8) * (scene.lung[side] > 5)
        return scene.lungs
