"""Devices: endotracheal tube, central venous catheter and pacemaker."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from medvlp.phantom.airways import carina, trachea
from medvlp.phantom.anatomy import Anatomy, sign
from medvlp.phantom.findings.base import FindingModel, Lesion, register_finding, sample_seed
from medvlp.phantom.materials import Mask, MaterialMaps
from medvlp.phantom.organs import heart_parts
from medvlp.phantom.point_clouds import spline


@register_finding("endotracheal_tube")
class EndotrachealTube(FindingModel):
    """A tube with an opaque stripe down the trachea; its tip some centimeters above the carina, or in a bronchus."""

    rate, persistence, portable_only = 0.34, 0.55, True

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        kind = "low" if rng.random() < 0.15 else "standard"
        size = float(rng.uniform(5, 14) if kind == "low" else rng.uniform(24, 62))  # tip above the carina
        return [
            Lesion("endotracheal_tube", None, "trachea", 0.5, sample_seed(rng), size_mm=size, kind=kind, graded=False)
        ]

    def reported_length(self, lesion: Lesion) -> float | None:
        """From the tip to the carina."""
        return lesion.size_mm

    def template_words(self, lesion: Lesion) -> dict[str, str]:
        return {"position": "low" if lesion.kind == "low" else "standard"}

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """Two faint walls in the dark windpipe and a bright stripe along one of them, which ends at the tip."""
        assert lesion.size_mm is not None
        line = spline(trachea(maps.anatomy), 2.0)
        tip = carina(maps.anatomy)[1] - lesion.size_mm
        line = line[line[:, 1] <= tip] + np.array([lesion.rng.normal(0, 1.5), 0, 0])
        wall = maps.project_tube(line[::4], 5.0, inner=3.8)
        stripe = maps.project_tube(line[::4] + np.array([3.6, 0, 0]), 1.1)
        maps.bone = maps.bone + 2.2 * wall + 11.0 * stripe
        return _around(wall + stripe)


@register_finding("central_venous_catheter")
class CentralVenousCatheter(FindingModel):
    """A thin line from the neck or arm into the superior vena cava."""

    rate, persistence, portable_only = 0.46, 0.6, True

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = "right" if rng.random() < 0.62 else "left"
        kind = str(rng.choice(["jugular", "subclavian", "picc"], p=[0.45, 0.3, 0.25]))
        place = "svc" if rng.random() < 0.65 else "cavoatrial_junction"
        return [Lesion("central_venous_catheter", side, place, 0.5, sample_seed(rng), kind=kind, graded=False)]  # type: ignore[arg-type]

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A thin bright line from neck, clavicle or arm that turns down along the right border of the mediastinum."""
        a, rng = maps.anatomy, lesion.rng
        s, b, h = sign(lesion.required_side), a.breadth, a.stature
        depth = 96.0 if lesion.place == "svc" else 132.0
        tip = np.array([-24 * b + 0.7 * a.shift + rng.normal(0, 2), depth * h, -6.0])
        way = {
            "jugular": [(s * 46, -70, 0), (s * 36, -20, -12), (s * 26, 25, -25)],
            "subclavian": [(s * 118, 62, -75), (s * 95, 34, -62), (s * 60, 24, -45), (s * 34, 34, -32)],
            "picc": [(s * 215, 150, -10), (s * 170, 66, -15), (s * 120, 36, -38), (s * 70, 26, -42), (s * 38, 34, -30)],
        }[lesion.kind]
        cross = [(0, 46, -30)] if lesion.required_side == "left" else []
        points = np.array([*way, *cross, (-22, 62, -14)]) * [b, h, 1.0]
        thick = 0.9 if lesion.kind == "picc" else 1.35
        line = maps.project_tube(np.concatenate([points, tip[None]]), thick)
        maps.bone = maps.bone + 7.5 * line
        return _around(line)


@register_finding("pacemaker")
class Pacemaker(FindingModel):
    """A generator under the skin below the clavicle and one to three leads into the heart."""

    rate, persistence = 0.12, 0.99

    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        side = "left" if rng.random() < 0.82 else "right"
        kind = str(rng.choice(["single", "dual", "triple"], p=[0.25, 0.5, 0.25]))
        return [Lesion("pacemaker", side, "other", 0.5, sample_seed(rng), kind=kind, graded=False)]  # type: ignore[arg-type]

    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """A white can below the clavicle, denser than bone, and thin white leads from it that end in the heart."""
        a, rng = maps.anatomy, lesion.rng
        s, b, h = sign(lesion.required_side), a.breadth, a.stature
        box = np.array([s * (104 + rng.normal(0, 6)) * b, (66 + rng.normal(0, 8)) * h, -(98 * a.depth + 0.5 * a.fat)])
        can = maps.project(_can(box, 0.9 * maps.pitch))
        ends = self._lead_ends(a)[: {"single": 1, "dual": 2, "triple": 3}[lesion.kind]]
        vein = np.array([(s * 78, 30, -60), (s * 40, 34, -34), (-18, 52, -22), (-24, 92, -10)]) * [b, h, 1.0]
        leads = np.zeros(maps.projection.shape, np.float32)
        for way in ends:
            start = box + np.array([-s * rng.uniform(8, 18), -22, 0])
            leads = leads + maps.project_tube(
                np.concatenate([start[None], vein + rng.normal(0, 1.2, vein.shape), way]), 0.75
            )
        maps.metal = maps.metal + np.minimum(can, 7.0) + 1.1 * leads
        return _around(can + leads)

    @staticmethod
    def _lead_ends(a: Anatomy) -> list[NDArray[np.float64]]:
        body = heart_parts(a)[0]
        x, y, _ = body.center
        low = y + 0.42 * body.radii[1]
        return [
            np.array([(-22 + a.shift, y - 10, -15), (x - 12, low, -40), (x + 26, low + 2, -58)]),
            np.array([(-30 + a.shift, y - 2, -20), (-18 + a.shift, y - 22, -34)]),
            np.array([(-16 + a.shift, y - 4, 5), (x + 4, y - 6, 22), (x + 40, y + 6, 8)]),
        ]


def _can(center: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """The generator: a rounded box of titanium 46 by 42 by 7 mm, denser where the battery lies."""
    n = int(108 / step) + 2
    x, y = np.meshgrid(np.linspace(-25, 25, n), np.linspace(-23, 23, n))
    inside = np.abs(x / 24) ** 4 + np.abs(y / 22) ** 4 < 1
    rim = np.abs(x / 22) ** 4 + np.abs(y / 20) ** 4 > 1
    thick = np.where(rim, 7.0, np.where(y > 2, 6.0, 3.2))[inside]
    points = np.stack([center[0] + x[inside], center[1] + y[inside], np.full(inside.sum(), center[2])], axis=1)
    cell = (50 / (n - 1)) * (46 / (n - 1))
    return np.concatenate([points, (thick * cell)[:, None]], axis=1)


def _around(path: NDArray[np.float32]) -> Mask:
    return path > 0.15
