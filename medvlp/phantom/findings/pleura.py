"""Pleura: effusion, pneumothorax and thickening, all as a gap between the ribs and a lung that has withdrawn."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy, sign
from medvlp.phantom.findings.base import Drawing, Lesion, any_side, fresh_seed, other_side, register
from medvlp.phantom.scene import Mask, Scene


def pushed(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """The anatomy with its middle pushed away from a lesion that takes much room."""
    away = -sign(lesion.own_side) * 15 * max(0.0, lesion.level - 0.6) / 0.4
    return anatomy.changed(shift=anatomy.shift + away)


@register("pleural_effusion")
class PleuralEffusion(Drawing):
    """Fluid that fills the costophrenic angle and climbs along the ribs: a meniscus when erect, a veil when supine."""

    rate, lasting = 0.22, 0.65

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        first = any_side(rng)
        level = float(rng.beta(1.5, 1.7))
        sides = [first, other_side(first)] if rng.random() < 0.35 else [first]
        lesions = []
        for side in sides:
            each = float(np.clip(level * rng.uniform(0.7, 1.2), 0.08, 1))
            lesions.append(Lesion("pleural_effusion", side, f"{side}_pleural", each, fresh_seed(rng)))
        return lesions

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        return pushed(anatomy, lesion)

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """White up to a meniscus that climbs along the ribs, the costophrenic angle gone; on AP a veil as well."""
        side, a = lesion.own_side, scene.anatomy
        surface = a.dome_top(side) + 38 * a.stature - (4 + 150 * lesion.level)
        below = scene.space[side].levels - surface
        # a film climbs along the ribs above the surface; below it the lung floats off the ribs and the diaphragm
        film = (9 + 7 * lesion.level) * np.exp(np.minimum(below, 0) / (10 + 14 * lesion.level)) * (below > -75)
        depth = np.maximum(below, 0)
        gap = np.where(below < 0, film, 9 + 7 * lesion.level + 0.9 * depth + 0.018 * depth**2)
        fluid = scene.between(side, scene.withdrawn(side, gap))
        if scene.projection.view == "AP":
            veil = 0.3 * lesion.level * np.clip((scene.projection.y - surface + 110) / 110, 0, 1)
            fluid = np.maximum(fluid, scene.lung[side] * veil.astype(np.float32))
        scene.fill(side, fluid)
        return fluid > 18


@register("pneumothorax")
class Pneumothorax(Drawing):
    """Air between ribs and lung, widest at the apex, without vessels; the withdrawn pleura is seen as a fine line."""

    rate, lasting = 0.14, 0.4

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        return [Lesion("pneumothorax", side, f"{side}_pleural", float(rng.beta(1.5, 1.6)), fresh_seed(rng))]

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        return pushed(anatomy, lesion)

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """A black rim without vessels, widest at the apex, and a fine white line: the edge of a denser lung."""
        side, k = lesion.own_side, lesion.level
        depth = np.clip(scene.space[side].levels / scene.anatomy.dome_top(side), 0, 1)
        base = 0.75 * max(0.0, k - 0.25)
        gap = (9 + 66 * k) * (1 - (1 - base) * depth**2 * (3 - 2 * depth))
        lung = scene.withdrawn(side, gap)
        air = scene.between(side, lung)
        pleura = np.maximum(scene.aerated(lung, side) - scene.aerated(lung.withdrawn(np.full(1, 0.8), 0.0), side), 0)
        bare = (scene.lung[side] > 3) & ~lung.interval(scene.projection).hit
        scene.markings = np.where(bare, 0, scene.markings)
        scene.empty(side, air)
        collapsed = np.maximum(scene.lung[side] - air, 0)
        scene.fill(side, (0.16 * k) * collapsed)
        scene.soft = scene.soft + 1.3 * np.minimum(pleura, 12)
        return bare if scene.projection.frontal else (air > 12) & (scene.lung[side] > 3)


@register("pleural_thickening")
class PleuralThickening(Drawing):
    """An irregular band of soft tissue along the ribs or over the apex, sometimes with chalk in it."""

    rate, lasting = 0.13, 0.97

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        kind = "apical" if rng.random() < 0.4 else "lateral"
        place = f"{side}_apical_lung" if kind == "apical" else f"{side}_pleural"
        spot = (1.0, float(rng.uniform(0.42, 0.75)), 0.0)
        return [Lesion("pleural_thickening", side, place, float(rng.beta(2, 2)), fresh_seed(rng), spot, kind=kind)]

    def words(self, lesion: Lesion) -> dict[str, str]:
        where = "over the {} apex" if lesion.kind == "apical" else "along the {} lateral chest wall"
        return {"along": where.format(lesion.side)}

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """A wavy white band between ribs and lung, or a cap over the apex; some have flecks of chalk."""
        side, rng = lesion.own_side, lesion.rng
        levels = scene.space[side].levels
        wave = 1 + 0.3 * np.sin(levels / rng.uniform(5, 9) + rng.uniform(0, 6)) * np.sin(levels / rng.uniform(14, 22))
        if lesion.kind == "apical":
            cap = (8 + 15 * lesion.level) * np.exp(-levels / (24 + 12 * lesion.level)) * wave
            inner = scene.space[side].lowered(cap)
        else:
            middle, reach = lesion.spot[1] * scene.anatomy.dome_top(side), 34 + 36 * lesion.level
            gap = (6 + 9 * lesion.level) * wave * np.clip((reach - np.abs(levels - middle)) / 16, 0, 1)
            inner = scene.withdrawn(side, gap)
        tissue = scene.between(side, inner)
        edge = ~inner.interval(scene.projection).hit
        tissue = np.where(edge, tissue, 0.3 * tissue) if scene.projection.frontal else tissue
        scene.fill(side, tissue)
        if rng.random() < 0.4:
            chalk = np.maximum(scene.texture(lesion.seed, 4.0) - 0.5, 0)
            scene.bone = scene.bone + chalk * np.minimum(tissue, 30) * 0.05
        seen = edge & (tissue > 8) if scene.projection.frontal else tissue > 12
        return seen & (scene.projection.y < scene.anatomy.dome_top(side) + 40)
