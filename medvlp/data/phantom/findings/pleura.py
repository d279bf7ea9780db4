"""Pleura: effusion, pneumothorax and thickening, all as a gap between the ribs and a lung that has withdrawn from them."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from medvlp.data.phantom.anatomy import Anatomy, sign
from medvlp.data.phantom.findings.base import Drawing, Lesion, any_side, fresh_seed, register
from medvlp.data.phantom.scene import Mask, Scene


@register("pleural_effusion")
class PleuralEffusion(Drawing):
    """Fluid that fills the costophrenic angle and climbs along the ribs: a meniscus when erect, a veil when supine."""

    rate, lasting = 0.26, 0.65

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        first = any_side(rng)
        level = float(rng.beta(1.5, 1.7))
        sides = [first, "left" if first == "right" else "right"] if rng.random() < 0.35 else [first]
        return [
            Lesion(
                "pleural_effusion",
                s,
                f"{s}_pleural",
                float(np.clip(level * rng.uniform(0.7, 1.2), 0.08, 1)),
                fresh_seed(rng),
            )
            for s in sides
        ]

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        assert lesion.side is not None
        a = scene.anatomy
        floor = a.dome_top(lesion.side) + 42 * a.stature
        height = 14 + 135 * lesion.level
        surface = floor - height
        levels = np.arange(0, 345 * a.stature, 3.0)
        below = levels - surface
        # a film climbs above the surface and the lung floats off the diaphragm below it
        film = 15 * np.exp(np.minimum(below, 0) / (12 + 16 * lesion.level)) * (below > -70)
        gap = np.where(below < 0, film, 15 + below * (0.55 + 1.1 * lesion.level))
        fluid, _ = scene.rim(lesion.side, levels, gap)
        if scene.projection.view == "AP":
            veil = 0.25 * lesion.level * np.clip((scene.projection.y - surface + 90) / 90, 0, 1).astype(np.float32)
            fluid = np.maximum(fluid, scene.lung[lesion.side] * veil)
        scene.replace_lung(lesion.side, fluid)
        return fluid > 18


@register("pneumothorax")
class Pneumothorax(Drawing):
    """Air between ribs and lung, widest at the apex, without vessels; the withdrawn pleura is seen as a fine line."""

    rate, lasting = 0.13, 0.4

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        return [Lesion("pneumothorax", side, f"{side}_pleural", float(rng.beta(1.5, 1.6)), fresh_seed(rng))]

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        away = -sign(lesion.side or "left")
        return anatomy.changed(shift=anatomy.shift + away * 14 * max(0.0, lesion.level - 0.6) / 0.4)

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        assert lesion.side is not None
        a, side = scene.anatomy, lesion.side
        levels = np.arange(0, 345 * a.stature, 3.0)
        depth = levels / a.dome_top(side)
        gap = (7 + 52 * lesion.level) * np.clip(1.15 - depth * (1.0 - 0.55 * lesion.level), 0.0, 1.2)
        air, lung = scene.rim(side, levels, gap)
        pleura = np.maximum(
            scene.aerated(lung, side) - scene.aerated(lung.shrunk(np.full(len(lung.levels), 0.7), lung.levels), side), 0
        )
        outside = lung.interval(scene.projection).length <= 0
        inside_space = scene.lung[side] > 3
        scene.markings = np.where(outside & inside_space, 0, scene.markings)
        scene.empty_lung(side, air)
        scene.soft = scene.soft + np.minimum(pleura, 14) * 0.8
        return outside & inside_space & scene.lungs if scene.projection.frontal else (air > 12) & inside_space


@register("pleural_thickening")
class PleuralThickening(Drawing):
    """An irregular band of soft tissue along the ribs or over the apex, sometimes with chalk in it."""

    rate, lasting = 0.12, 0.97

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = any_side(rng)
        kind = "apical" if rng.random() < 0.4 else "lateral"
        place = f"{side}_apical_lung" if kind == "apical" else f"{side}_pleural"
        spot = (1.0, float(rng.uniform(0.42, 0.75)), 0.0)
        return [Lesion("pleural_thickening", side, place, float(rng.beta(2, 2)), fresh_seed(rng), spot, kind=kind)]

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        assert lesion.side is not None
        a = scene.anatomy
        levels = np.arange(0, 345 * a.stature, 2.0)
        rng = lesion.rng
        wave = 1 + 0.3 * np.sin(levels / rng.uniform(6, 11) + rng.uniform(0, 6)) * rng.uniform(0.5, 1)
        thick = (5 + 9 * lesion.level) * wave
        if lesion.kind == "apical":
            gap = thick * 1.2 * np.clip((42 + 25 * lesion.level - levels) / 22, 0, 1)
        else:
            middle, reach = lesion.spot[1] * a.dome_top(lesion.side), 38 + 40 * lesion.level
            gap = thick * np.clip((reach - np.abs(levels - middle)) / 18, 0, 1)
        tissue, _ = scene.rim(lesion.side, levels, gap)
        tissue = np.where(tissue > 0.35 * scene.lung[lesion.side], tissue, 0.25 * tissue)
        scene.replace_lung(lesion.side, tissue)
        if rng.random() < 0.4:
            chalk = np.maximum(scene.texture(lesion.seed, 6.0) - 0.6, 0)
            scene.bone = scene.bone + chalk * np.minimum(tissue, 30) * 0.06
        return tissue > 14
