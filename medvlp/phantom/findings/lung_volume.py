"""Findings that change the volume of a lung: atelectasis (collapse) and emphysema."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.airways import hilum
from medvlp.phantom.anatomy import SIDES, Anatomy, sign
from medvlp.phantom.findings.base import FindingModel, Lesion, register_finding, sample_seed, sample_side
from medvlp.phantom.geometry import Ellipsoid
from medvlp.phantom.materials import Mask, MaterialMaps
from medvlp.phantom.organs import lung_point


@register_finding("atelectasis")
class Atelectasis(FindingModel):
    """Plates (`linear`) or a lower lobe (`lobar`), with volume loss that raises a dome or pulls the heart."""

    rate, persistence = 0.27, 0.5

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = sample_side(rng)
        kind = "lobar" if rng.random() < 0.3 else "linear"
        lobe = "lower_left_lobe" if side == "left" else "lower_right_lobe"
        place = lobe if kind == "lobar" else f"{side}_lower_lung"
        position = (float(rng.uniform(0.48, 0.62)), float(rng.uniform(0.74, 0.92)), float(rng.uniform(-0.2, 0.4)))
        return [Lesion("atelectasis", side, place, float(rng.beta(1.6, 1.6)), sample_seed(rng), position, kind=kind)]

    def deform(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        side = lesion.required_side
        rise = anatomy.rise(side) + 4 + (8 if lesion.kind == "linear" else 16) * lesion.level
        pull = sign(side) * (11 * lesion.level if lesion.kind == "lobar" else 0)
        return anatomy.with_changes(**{f"rise_{side}": rise}, shift=anatomy.shift + pull)

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """White bands that lie above the dome (linear), or a white wedge from hilum to dome (lobar)."""
        return self._lobe(maps, lesion) if lesion.kind == "lobar" else self._plates(maps, lesion)

    @staticmethod
    def _plates(maps: MaterialMaps, lesion: Lesion) -> Mask:
        rng, p = lesion.rng, maps.projection
        x, y, z = lung_point(maps.anatomy, lesion.required_side, *lesion.position)
        total = np.zeros(p.shape, np.float32)
        for index in range(1 + int(2.4 * lesion.level)):
            half = float(rng.uniform(24, 36) * (0.8 + 0.5 * lesion.level))
            center = (x + float(rng.normal(0, 6)), y - index * float(rng.uniform(9, 15)), z)
            plate = Ellipsoid(center, (half, float(rng.uniform(2.6, 4.4)), 30), float(rng.normal(0, 0.2)))
            total = np.maximum(total, plate.chord(p))
        total = np.minimum(total, maps.lung[lesion.required_side])
        maps.fill_lung(lesion.required_side, total)
        return total > 10

    @staticmethod
    def _lobe(maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A wedge from hilum to dome: seen through the heart in frontal views, against the spine in lateral ones."""
        p, a, s = maps.projection, maps.anatomy, sign(lesion.required_side)
        top = hilum(a, lesion.required_side)[1] + 8
        floor = a.dome_top(lesion.required_side) + 25
        width = np.clip((p.y - top) / (floor - top), 0, 1) * (30 + 42 * lesion.level)
        beside_spine = width + 18 + s * a.shift - s * p.u
        edge = beside_spine if p.frontal else 1.4 * width - (p.u + 97 * a.depth)
        inside = np.clip(edge / 3, 0, 1) * (p.y > top)
        path = (inside * np.minimum(maps.lung[lesion.required_side], 80)).astype(np.float32)
        maps.fill_lung(lesion.required_side, path)
        return path > 14


@register_finding("emphysema")
class Emphysema(FindingModel):
    """Large dark lungs, flat domes, a slender heart, sparse vessels, and thin-walled bullae in the upper zones."""

    rate, persistence = 0.13, 0.99

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        return [Lesion("emphysema", None, "parenchymal", float(rng.beta(1.6, 1.5)), sample_seed(rng))]

    def deform(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        k = lesion.level
        return anatomy.with_changes(
            inflation=anatomy.inflation + 12 + 20 * k,
            flatness=0.45 + 0.5 * k,
            heart=anatomy.heart * (0.95 - 0.08 * k),
            depth=anatomy.depth * (1.03 + 0.05 * k),
            aeration=anatomy.aeration * (0.68 - 0.3 * k),
            vessels=anatomy.vessels * (0.8 - 0.3 * k),
        )

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """Dark round holes without vessels, each in a hair-thin bright ring; both lungs are marked as a whole."""
        rng = lesion.rng
        for side in SIDES:
            for _ in range(rng.integers(0, 2 + int(4 * lesion.level))):
                position = lung_point(
                    maps.anatomy, side, rng.uniform(0.45, 0.9), rng.uniform(0.08, 0.4), rng.uniform(-0.3, 0.3)
                )
                r = float(rng.uniform(11, 20) * (0.7 + 0.6 * lesion.level))
                bulla = Ellipsoid(position, (r, r * float(rng.uniform(0.8, 1.2)), r))
                lumen = Ellipsoid(position, (r - 0.8, bulla.radii[1] - 0.8, r - 0.8))
                inside = bulla.chord(maps.projection)
                wall = inside - lumen.chord(maps.projection)
                clear = np.clip(inside / r, 0, 1)
                maps.markings = maps.markings * (1 - 0.8 * clear)
                maps.replace_with_air(side, inside)
                maps.soft = maps.soft + 0.5 * np.minimum(wall, 8) * (maps.lung[side] > 5)
        return maps.lungs
