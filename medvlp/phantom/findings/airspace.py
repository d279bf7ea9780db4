"""Airspaces filled: consolidation of a lobe or in patches, and pulmonary edema."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medvlp.phantom.airways import hilum
from medvlp.phantom.anatomy import SIDES, Anatomy, Side, sign
from medvlp.phantom.findings.base import FindingModel, Lesion, lung_zone, register_finding, sample_seed, sample_side
from medvlp.phantom.geometry import Floats
from medvlp.phantom.materials import Mask, MaterialMaps
from medvlp.phantom.organs import lung_point
from medvlp.phantom.point_clouds import rods

FISSURE = 0.5  # height of the minor fissure, as a fraction of the lung
_LOBES = {  # place: side, position, semi-axes as fractions of the size, side of the fissure (-1 above, 1 below)
    "upper_right_lobe": ("right", (0.55, 0.28, 0.0), (0.5, 0.46, 0.6), -1),
    "middle_right_lobe": ("right", (0.42, 0.68, -0.5), (0.5, 0.36, 0.4), 1),
    "lower_right_lobe": ("right", (0.5, 0.85, 0.5), (0.55, 0.42, 0.45), 0),
    "upper_left_lobe": ("left", (0.52, 0.36, -0.2), (0.5, 0.5, 0.5), 0),
    "lower_left_lobe": ("left", (0.45, 0.84, 0.5), (0.5, 0.44, 0.45), 0),
}


@register_finding("consolidation")
class Consolidation(FindingModel):
    """Lung filled with fluid: ill-defined but for a fissure, patchy at its rim, with bronchi left dark inside."""

    rate, persistence = 0.19, 0.5

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        level, size = float(rng.beta(1.8, 1.5)), float(rng.uniform(95, 140))
        if rng.random() < 0.5:
            place = str(rng.choice(list(_LOBES)))
            side: Side = "left" if "left" in place else "right"
            return [Lesion("consolidation", side, place, level, sample_seed(rng), _LOBES[place][1], size, "lobar")]
        side = sample_side(rng)
        down = float(rng.choice([0.25, 0.52, 0.82], p=[0.25, 0.3, 0.45]) + rng.uniform(-0.07, 0.07))
        position = (float(rng.uniform(0.45, 0.7)), down, float(rng.uniform(-0.5, 0.5)))
        return [Lesion("consolidation", side, lung_zone(side, down), level, sample_seed(rng), position, size, "patchy")]

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A white patch with soft, uneven edges and dark branches of air in it; a lobar one ends at a fissure."""
        assert lesion.size_mm is not None
        side, rng, p = lesion.required_side, lesion.rng, maps.projection
        size = lesion.size_mm * (0.55 + 0.5 * lesion.level)
        _, _, axes, keep = _LOBES.get(lesion.place, ("", (), (0.42, 0.36, 0.42), 0))
        center = np.array(lung_point(maps.anatomy, side, *lesion.position))
        radii = (axes[0] * size, axes[1] * size, axes[2] * size)
        depth = self._patches(maps, rng, center, radii)
        rough = depth * (1 + 0.17 * maps.texture(lesion.seed, 14.0) + 0.12 * maps.texture(lesion.seed + 1, 5.0))
        filled = np.clip((rough - 0.12) / 0.95, 0, 1)
        if keep:
            fissure = FISSURE * maps.anatomy.dome_top(side) + 4 * np.sin(p.u / 40)
            filled = filled * np.clip(0.5 + keep * (p.y - fissure) / 3, 0, 1)
        path = (filled * np.minimum(maps.lung[side], 1.5 * size) * (0.5 + 0.4 * lesion.level)).astype(np.float32)
        bronchi = self._bronchi(maps, lesion, center, radii) * np.clip(filled * 1.5, 0, 1)
        maps.fill_lung(side, path)
        maps.soft = maps.soft - 0.9 * np.minimum(bronchi, path)
        return path > 14

    @staticmethod
    def _patches(
        maps: MaterialMaps, rng: Generator, center: NDArray[np.float64], radii: tuple[float, float, float]
    ) -> Floats:
        """Overlapping soft patches of all sizes: how full the lung is, about 1 in the middle."""
        p = maps.projection
        total = np.zeros(p.shape, np.float32)
        wide = radii[0] if p.frontal else radii[2]
        for share in rng.uniform(0.4, 0.9, 8):
            x, y, z = center + rng.normal(0, 0.4, 3) * radii
            du = (p.u - np.float32(p.across(x, z))) / np.float32(share * wide)
            dy = (p.y - np.float32(y)) / np.float32(share * radii[1])
            total += np.float32(0.42) * np.exp(-(du * du) - dy * dy)
        return total

    @staticmethod
    def _bronchi(
        maps: MaterialMaps, lesion: Lesion, center: NDArray[np.float64], radii: tuple[float, float, float]
    ) -> Floats:
        """Air bronchograms that run from the hilum into the patch."""
        rng, root = np.random.default_rng([lesion.seed, 8]), hilum(maps.anatomy, lesion.required_side)
        total = np.zeros(maps.projection.shape, np.float32)
        for _ in range(4):
            end = center + rng.normal(0, 0.4, 3) * radii
            middle = 0.5 * (root + end) + rng.normal(0, 5, 3)
            total += maps.project_tube([root, middle, end, end + 0.5 * (end - middle)], 2.0)
        return total


@register_finding("edema")
class Edema(FindingModel):
    """Lungs hazy from the hila outwards, thick blurred vessels also in the upper zones, septal lines at the edges."""

    rate, persistence = 0.18, 0.4

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        return [Lesion("edema", None, "interstitium", float(rng.beta(1.6, 1.6)), sample_seed(rng))]

    def deform(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        return anatomy.with_changes(vessels=anatomy.vessels * (1.22 + 0.25 * lesion.level))

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A veil, densest around the hila like the wings of a bat, with blurred vessels and short lines at the edge."""
        p, a, k = maps.projection, maps.anatomy, lesion.level
        maps.markings = gaussian_filter(maps.markings, 1.8 / maps.pitch) * np.float32(1.1 + 0.2 * k)
        cloudy = 1 + 0.18 * maps.texture(lesion.seed, 20.0) + 0.06 * maps.texture(lesion.seed + 1, 4.0)
        strength = np.float32(1.0 if p.frontal else 0.65)
        seen = np.zeros(p.shape, bool)
        for side in SIDES:
            root = hilum(a, side)
            du = (p.u - np.float32(p.across(root[0], root[2]))) / np.float32(60 + 40 * k)
            dy = (p.y - np.float32(root[1] + 18)) / np.float32(80 + 40 * k)
            bat = np.exp(-(du * du + dy * dy))
            share = np.clip((0.05 + 0.06 * k + (0.11 + 0.25 * k) * bat) * cloudy * strength, 0, 0.7).astype(np.float32)
            maps.lung[side] = maps.lung[side] * (1 - share)
            maps.markings = maps.markings + self._septa(maps, side, lesion)
            seen |= (share > 0.11) & (maps.lung[side] > 5)
        return seen & maps.lungs

    @staticmethod
    def _septa(maps: MaterialMaps, side: Side, lesion: Lesion) -> Floats:
        """Kerley's B lines: short, horizontal, at the ribs of the lower zones."""
        rng = np.random.default_rng([lesion.seed, int(side == "left")])
        count = int(8 + 12 * lesion.level)
        down, deep = rng.uniform(0.6, 1.02, count), rng.uniform(-0.5, 0.5, count)
        starts = np.array([lung_point(maps.anatomy, side, 0.985, *at) for at in zip(down, deep, strict=True)])
        reach = np.stack([-sign(side) * rng.uniform(12, 20, count), rng.normal(0, 1.5, count), np.zeros(count)], axis=1)
        return 4 * maps.project(rods(maps.projection, starts, starts + reach, np.full(count, 0.8)))
