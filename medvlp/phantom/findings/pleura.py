"""Pleura: effusion, pneumothorax and thickening, all as a gap between the ribs and a lung that has withdrawn."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy, sign
from medvlp.phantom.findings.base import FindingModel, Lesion, other_side, register_finding, sample_seed, sample_side
from medvlp.phantom.materials import Mask, MaterialMaps


def displace_mediastinum(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """The anatomy with its mediastinum displaced away from a large lesion."""
    away = -sign(lesion.required_side) * 15 * max(0.0, lesion.level - 0.6) / 0.4
    return anatomy.with_changes(shift=anatomy.shift + away)


@register_finding("pleural_effusion")
class PleuralEffusion(FindingModel):
    """Fluid that fills the costophrenic angle and climbs along the ribs: a meniscus when erect, a veil when supine."""

    rate, persistence = 0.22, 0.65

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        first = sample_side(rng)
        level = float(rng.beta(1.5, 1.7))
        sides = [first, other_side(first)] if rng.random() < 0.35 else [first]
        lesions = []
        for side in sides:
            each = float(np.clip(level * rng.uniform(0.7, 1.2), 0.08, 1))
            lesions.append(Lesion("pleural_effusion", side, f"{side}_pleural", each, sample_seed(rng)))
        return lesions

    def deform(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        return displace_mediastinum(anatomy, lesion)

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """White up to a meniscus that climbs along the ribs, the costophrenic angle gone; on AP a veil as well."""
        side, a = lesion.required_side, maps.anatomy
        surface = a.dome_top(side) + 38 * a.stature - (4 + 150 * lesion.level)
        below = maps.hemithorax[side].levels - surface
        # a film climbs along the ribs above the surface; below it the lung floats off the ribs and the diaphragm
        film = (9 + 7 * lesion.level) * np.exp(np.minimum(below, 0) / (10 + 14 * lesion.level)) * (below > -75)
        depth = np.maximum(below, 0)
        gap = np.where(below < 0, film, 9 + 7 * lesion.level + 0.9 * depth + 0.018 * depth**2)
        fluid = maps.pleural_space(side, maps.collapsed(side, gap))
        if maps.projection.view == "AP":
            veil = 0.3 * lesion.level * np.clip((maps.projection.y - surface + 110) / 110, 0, 1)
            fluid = np.maximum(fluid, maps.lung[side] * veil.astype(np.float32))
        maps.fill_lung(side, fluid)
        return fluid > 18


@register_finding("pneumothorax")
class Pneumothorax(FindingModel):
    """Air between ribs and lung, widest at the apex, without vessels; the withdrawn pleura is seen as a fine line."""

    rate, persistence = 0.14, 0.4

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = sample_side(rng)
        return [Lesion("pneumothorax", side, f"{side}_pleural", float(rng.beta(1.5, 1.6)), sample_seed(rng))]

    def deform(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        return displace_mediastinum(anatomy, lesion)

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A black rim without vessels, widest at the apex, and a fine white line: the edge of a denser lung."""
        side, k = lesion.required_side, lesion.level
        depth = np.clip(maps.hemithorax[side].levels / maps.anatomy.dome_top(side), 0, 1)
        base = 0.75 * max(0.0, k - 0.25)
        gap = (9 + 66 * k) * (1 - (1 - base) * depth**2 * (3 - 2 * depth))
        lung = maps.collapsed(side, gap)
        air = maps.pleural_space(side, lung)
        pleura = np.maximum(maps.lung_path(lung, side) - maps.lung_path(lung.shrunk(np.full(1, 0.8), 0.0), side), 0)
        bare = (maps.lung[side] > 3) & ~lung.interval(maps.projection).hit
        maps.markings = np.where(bare, 0, maps.markings)
        maps.replace_with_air(side, air)
        collapsed = np.maximum(maps.lung[side] - air, 0)
        maps.fill_lung(side, (0.16 * k) * collapsed)
        maps.soft = maps.soft + 1.3 * np.minimum(pleura, 12)
        return bare if maps.projection.frontal else (air > 12) & (maps.lung[side] > 3)


@register_finding("pleural_thickening")
class PleuralThickening(FindingModel):
    """An irregular band of soft tissue along the ribs or over the apex, sometimes calcified."""

    rate, persistence = 0.13, 0.97

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = sample_side(rng)
        kind = "apical" if rng.random() < 0.4 else "lateral"
        place = f"{side}_apical_lung" if kind == "apical" else f"{side}_pleural"
        position = (1.0, float(rng.uniform(0.42, 0.75)), 0.0)
        return [Lesion("pleural_thickening", side, place, float(rng.beta(2, 2)), sample_seed(rng), position, kind=kind)]

    def template_words(self, lesion: Lesion) -> dict[str, str]:
        where = "over the {} apex" if lesion.kind == "apical" else "along the {} lateral chest wall"
        return {"along": where.format(lesion.side)}

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A wavy white band between ribs and lung, or a cap over the apex; some are calcified."""
        side, rng = lesion.required_side, lesion.rng
        levels = maps.hemithorax[side].levels
        wave = 1 + 0.3 * np.sin(levels / rng.uniform(5, 9) + rng.uniform(0, 6)) * np.sin(levels / rng.uniform(14, 22))
        if lesion.kind == "apical":
            cap = (8 + 15 * lesion.level) * np.exp(-levels / (24 + 12 * lesion.level)) * wave
            inner = maps.hemithorax[side].lowered(cap)
        else:
            middle, reach = lesion.position[1] * maps.anatomy.dome_top(side), 34 + 36 * lesion.level
            gap = (6 + 9 * lesion.level) * wave * np.clip((reach - np.abs(levels - middle)) / 16, 0, 1)
            inner = maps.collapsed(side, gap)
        tissue = maps.pleural_space(side, inner)
        edge = ~inner.interval(maps.projection).hit
        tissue = np.where(edge, tissue, 0.3 * tissue) if maps.projection.frontal else tissue
        maps.fill_lung(side, tissue)
        if rng.random() < 0.4:
            chalk = np.maximum(maps.texture(lesion.seed, 4.0) - 0.5, 0)
            maps.bone = maps.bone + chalk * np.minimum(tissue, 30) * 0.05
        seen = edge & (tissue > 8) if maps.projection.frontal else tissue > 12
        return seen & (maps.projection.y < maps.anatomy.dome_top(side) + 40)
