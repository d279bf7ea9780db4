"""Fluid or collapse in the airspaces: consolidation, oedema and atelectasis."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.data.phantom.airways import hilum
from medvlp.data.phantom.anatomy import SIDES, Anatomy, sign
from medvlp.data.phantom.findings.base import Drawing, Lesion, any_side, fresh_seed, register, zone
from medvlp.data.phantom.geometry import Ellipsoid
from medvlp.data.phantom.organs import lung_point
from medvlp.data.phantom.scene import Mask, Scene


@register("consolidation")
class Consolidation(Drawing):
    """A patch of lung filled with fluid: ill-defined, patchy at its rim, with bronchi left dark inside."""

    rate, lasting = 0.18, 0.5

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        down = float(rng.choice([0.25, 0.52, 0.82], p=[0.25, 0.3, 0.45]) + rng.uniform(-0.07, 0.07))
        spot = (float(rng.uniform(0.4, 0.68)), down, float(rng.uniform(-0.5, 0.5)))
        size = float(rng.uniform(80, 130))
        return [Lesion("consolidation", side, zone(side, down), float(rng.beta(1.8, 1.5)), fresh_seed(rng), spot, size)]

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        assert lesion.side is not None and lesion.size_mm is not None
        rng, p = lesion.rng, scene.projection
        centre = np.array(lung_point(scene.anatomy, lesion.side, *lesion.spot))
        r = lesion.size_mm * (0.3 + 0.2 * lesion.level)
        blob = Ellipsoid(
            (centre[0], centre[1], centre[2]), (r, r * float(rng.uniform(0.65, 1.0)), r), float(rng.normal(0, 0.4))
        )
        depth = blob.chord(p) / r
        rough = depth + 0.28 * scene.texture(lesion.seed, 22.0) + 0.12 * scene.texture(lesion.seed + 1, 8.0)
        filled = np.clip((rough - 0.45) / 0.75, 0, 1) * (depth > 0)
        path = filled * np.minimum(scene.lung[lesion.side], 2 * r) * (0.45 + 0.4 * lesion.level)
        scene.replace_lung(lesion.side, path)
        root = hilum(scene.anatomy, lesion.side)
        for _ in range(3):
            end = centre + rng.normal(0, 0.45 * r, 3)
            middle = 0.5 * (root + end) + rng.normal(0, 6, 3)
            scene.soft = scene.soft - 0.8 * scene.strand([root, middle, end], 2.2) * np.clip(filled * 1.5, 0, 1)
        return path > 12


@register("edema")
class Edema(Drawing):
    """Both lungs hazy from the hila outwards, thick blurred vessels also in the upper zones, septal lines at the edges."""

    rate, lasting = 0.18, 0.4

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        return [Lesion("edema", None, "interstitium", float(rng.beta(1.6, 1.6)), fresh_seed(rng))]

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        return anatomy.changed(vessels=anatomy.vessels * (1.2 + 0.25 * lesion.level))

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        p, a, k = scene.projection, scene.anatomy, lesion.level
        cloudy = 1 + 0.35 * scene.texture(lesion.seed, 14.0) + 0.25 * scene.texture(lesion.seed + 1, 30.0)
        seen = np.zeros(p.shape, bool)
        for side in SIDES:
            root = hilum(a, side)
            du = (p.u - np.float32(p.across(root[0], root[2]))) / np.float32(58 + 45 * k)
            dy = (p.y - np.float32(root[1] + 18)) / np.float32(75 + 40 * k)
            bat = np.exp(-(du * du + dy * dy))
            share = np.clip((0.05 + 0.10 * k + (0.10 + 0.26 * k) * bat) * cloudy, 0, 0.75)
            scene.lung[side] = scene.lung[side] * (1 - share)
            seen |= (share > 0.12) & (scene.lung[side] > 5)
            self._septa(scene, side, lesion)
        return seen & scene.lungs

    @staticmethod
    def _septa(scene: Scene, side: str, lesion: Lesion) -> None:
        rng = np.random.default_rng([lesion.seed, side == "left"])
        a = scene.anatomy
        for _ in range(int(8 + 14 * lesion.level)):
            down = rng.uniform(0.62, 1.02)
            start = np.array(lung_point(a, side, 0.985, down, rng.uniform(-0.5, 0.5)))  # type: ignore[arg-type]
            end = start + [-sign(side) * rng.uniform(12, 22), rng.normal(0, 1.5), 0]  # type: ignore[arg-type]
            scene.markings = scene.markings + 5 * scene.strand(np.stack([start, end]), 0.8)


@register("atelectasis")
class Atelectasis(Drawing):
    """Collapse: plates of dense lung above a raised dome, or the collapsed lower lobe as a wedge beside the spine."""

    rate, lasting = 0.27, 0.5

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        kind = "lobar" if rng.random() < 0.3 else "linear"
        place = (
            {"left": "lower_left_lobe", "right": "lower_right_lobe"}[side] if kind == "lobar" else f"{side}_lower_lung"
        )
        spot = (float(rng.uniform(0.45, 0.6)), float(rng.uniform(0.74, 0.93)), float(rng.uniform(-0.2, 0.4)))
        return [Lesion("atelectasis", side, place, float(rng.beta(1.6, 1.6)), fresh_seed(rng), spot, kind=kind)]

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        assert lesion.side is not None
        rise = (8 if lesion.kind == "linear" else 16) * lesion.level + 4
        moved = {"rise_left": anatomy.rise_left, "rise_right": anatomy.rise_right}
        moved[f"rise_{lesion.side}"] += rise
        pull = sign(lesion.side) * (12 * lesion.level if lesion.kind == "lobar" else 0)
        return anatomy.changed(**moved, shift=anatomy.shift + pull)

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        assert lesion.side is not None
        return self._wedge(scene, lesion) if lesion.kind == "lobar" else self._plates(scene, lesion)

    @staticmethod
    def _plates(scene: Scene, lesion: Lesion) -> Mask:
        assert lesion.side is not None
        rng, p = lesion.rng, scene.projection
        total = np.zeros(p.shape, np.float32)
        for index in range(1 + int(2.4 * lesion.level)):
            across, down, deep = lesion.spot
            x, y, z = lung_point(scene.anatomy, lesion.side, across, down, deep)
            half = float(rng.uniform(22, 38) * (0.75 + 0.5 * lesion.level))
            centre = (x + float(rng.normal(0, 6)), y - index * float(rng.uniform(9, 15)), z)
            total += Ellipsoid(centre, (half, float(rng.uniform(2.2, 3.6)), 30), float(rng.normal(0, 0.2))).chord(p)
        total = np.minimum(total, scene.lung[lesion.side])
        scene.replace_lung(lesion.side, total)
        return total > 10

    @staticmethod
    def _wedge(scene: Scene, lesion: Lesion) -> Mask:
        assert lesion.side is not None
        p, a, s = scene.projection, scene.anatomy, sign(lesion.side)
        top = hilum(a, lesion.side)[1] + 12
        floor = a.dome_top(lesion.side) + 20
        width = np.clip((p.y - top) / (floor - top), 0, 1) * (34 + 40 * lesion.level)
        if p.frontal:
            inside = np.clip((width - s * p.u + s * 0.5 * a.shift + 22) / 3, 0, 1) * (s * p.u > 0)
        else:
            inside = np.clip((width * 1.3 - (p.u + 95 * a.depth)) / 3, 0, 1)
        path = inside * (p.y > top) * np.minimum(scene.lung[lesion.side], 75)
        scene.replace_lung(lesion.side, path.astype(np.float32))
        return path > 14
