"""Atelectasis: collapse, as plates of dense lung above a raised dome or a lower lobe folded down beside the spine."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.airways import hilum
from medvlp.phantom.anatomy import Anatomy, sign
from medvlp.phantom.findings.base import Drawing, Lesion, any_side, fresh_seed, register
from medvlp.phantom.geometry import Ellipsoid
from medvlp.phantom.organs import lung_point
from medvlp.phantom.scene import Mask, Scene


@register("atelectasis")
class Atelectasis(Drawing):
    """Plates (`linear`) or a lower lobe (`lobar`), each with the loss of room that raises a dome or pulls the heart."""

    rate, lasting = 0.27, 0.5

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        kind = "lobar" if rng.random() < 0.3 else "linear"
        lobe = "lower_left_lobe" if side == "left" else "lower_right_lobe"
        place = lobe if kind == "lobar" else f"{side}_lower_lung"
        spot = (float(rng.uniform(0.48, 0.62)), float(rng.uniform(0.74, 0.92)), float(rng.uniform(-0.2, 0.4)))
        return [Lesion("atelectasis", side, place, float(rng.beta(1.6, 1.6)), fresh_seed(rng), spot, kind=kind)]

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        side = lesion.own_side
        rise = anatomy.rise(side) + 4 + (8 if lesion.kind == "linear" else 16) * lesion.level
        pull = sign(side) * (11 * lesion.level if lesion.kind == "lobar" else 0)
        return anatomy.changed(**{f"rise_{side}": rise}, shift=anatomy.shift + pull)

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """White bands that lie above the dome (linear), or a white wedge from hilum to dome (lobar)."""
        return self._lobe(scene, lesion) if lesion.kind == "lobar" else self._plates(scene, lesion)

    @staticmethod
    def _plates(scene: Scene, lesion: Lesion) -> Mask:
        rng, p = lesion.rng, scene.projection
        x, y, z = lung_point(scene.anatomy, lesion.own_side, *lesion.spot)
        total = np.zeros(p.shape, np.float32)
        for index in range(1 + int(2.4 * lesion.level)):
            half = float(rng.uniform(24, 36) * (0.8 + 0.5 * lesion.level))
            centre = (x + float(rng.normal(0, 6)), y - index * float(rng.uniform(9, 15)), z)
            plate = Ellipsoid(centre, (half, float(rng.uniform(2.6, 4.4)), 30), float(rng.normal(0, 0.2)))
            total = np.maximum(total, plate.chord(p))
        total = np.minimum(total, scene.lung[lesion.own_side])
        scene.fill(lesion.own_side, total)
        return total > 10

    @staticmethod
    def _lobe(scene: Scene, lesion: Lesion) -> Mask:
        """A wedge from hilum to dome: seen through the heart in frontal views, against the spine in lateral ones."""
        p, a, s = scene.projection, scene.anatomy, sign(lesion.own_side)
        top = hilum(a, lesion.own_side)[1] + 8
        floor = a.dome_top(lesion.own_side) + 25
        width = np.clip((p.y - top) / (floor - top), 0, 1) * (30 + 42 * lesion.level)
        beside_spine = width + 18 + s * a.shift - s * p.u
        edge = beside_spine if p.frontal else 1.4 * width - (p.u + 97 * a.depth)
        inside = np.clip(edge / 3, 0, 1) * (p.y > top)
        path = (inside * np.minimum(scene.lung[lesion.own_side], 80)).astype(np.float32)
        scene.fill(lesion.own_side, path)
        return path > 14
