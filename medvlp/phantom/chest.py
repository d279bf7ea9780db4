"""`build_chest`: the material maps of a chest without findings, from its solids, bones, vessels and gas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medvlp.phantom import airways, organs, skeleton
from medvlp.phantom.anatomy import SIDES, Anatomy, sign
from medvlp.phantom.geometry import Ellipsoid, Floats, Interval, Projection
from medvlp.phantom.materials import Mask, MaterialMaps, path_outside, texture
from medvlp.phantom.point_clouds import project_points
from medvlp.phantom.skeleton import Fracture, humeral_heads, ribs, shoulders


def build_chest(a: Anatomy, p: Projection, fractures: Sequence[Fracture] = ()) -> MaterialMaps:
    """The material maps of a chest; its ribs may be fractured."""
    heart = organs.hull(organs.heart_parts(a), p)
    center = heart | organs.hull(organs.vessel_parts(a), p) | organs.mediastinum(a).interval(p)
    space = {side: organs.hemithorax(a, side) for side in SIDES}
    domes = {side: organs.dome(a, side).interval(p) for side in SIDES}
    column = organs.paraspinal(a).interval(p)
    lung = {side: path_outside(space[side].interval(p), (center, column, domes[side])) for side in SIDES}
    skin, inner = organs.trunk(a, a.fat).interval(p), organs.trunk(a, 0.0).interval(p)
    both = lung["left"] + lung["right"]
    grain = 1 + 0.7 * texture(p, a.seed, 2.6)
    markings = (0.015 * both) * np.maximum(grain, 0) + project_points(p, *airways.vessel_clouds(a, p)) + _hila(a, p)
    soft = inner.length + _arms(a, p, skin) - project_points(p, *airways.airway_clouds(a, p)) - _bowel_gas(a, p)
    return MaterialMaps(
        anatomy=a,
        projection=p,
        hemithorax=space,
        mediastinum=center,
        spine=column,
        domes=domes,
        lung=lung,
        soft=soft,
        fat=skin.length - inner.length + _breasts(a, p, skin),
        markings=np.minimum(markings, both),
        bone=_bones(a, p, fractures),
        metal=np.zeros(p.shape, np.float32),
        lungs=_lung_fields(p, lung, center, domes),
        heart=heart.hit,
    )


def _hila(a: Anatomy, p: Projection) -> Floats:
    total = np.zeros(p.shape, np.float32)
    for part in organs.hila(a):
        window, interval = part.part(p)
        total[window] += 0.8 * interval.length
    return total


def _lung_fields(p: Projection, lung: dict, center: Interval, domes: dict) -> Mask:
    """Frontal: lung beside the heart and above the domes. Lateral: wherever there is a fair depth of lung."""
    if not p.frontal:
        return (lung["left"] + lung["right"]) > 12
    return np.logical_or.reduce([(lung[side] > 4) & ~center.hit & ~domes[side].hit for side in SIDES])


def _breasts(a: Anatomy, p: Projection, skin: Interval) -> Floats:
    """Breasts hang: thin above, with a sharp fold below."""
    total = np.zeros(p.shape, np.float32)
    if not a.breast:
        return total
    r = a.breast
    for s in (1.0, -1.0):
        center = (s * (52 + 0.5 * r) * a.breadth, (118 + 1.05 * r) * a.stature, -(104 * a.depth + a.fat))
        chord = Ellipsoid(center, (1.02 * r, 1.05 * r, 0.75 * r), s * 0.35).interval(p)
        slope = np.clip((p.y - (center[1] - r)) / (1.75 * r), 0, 1).astype(np.float32)
        total += np.maximum(chord.length - (chord & skin).length, 0) * slope * slope * (3 - 2 * slope)
    return total


def _arms(a: Anatomy, p: Projection, skin: Interval) -> Floats:
    """Upper arms: beside the chest in frontal views (further off for PA), raised before the head in lateral ones."""
    total = np.zeros(p.shape, np.float32)
    thick = 40 + 0.5 * a.fat
    for side in SIDES:
        s = sign(side)
        if p.frontal:
            away = 36.0 if p.view == "PA" else 6.0
            arm = Ellipsoid(
                (s * (214 * a.breadth + 0.8 * a.fat + away), 190 * a.stature, 4), (thick, 195, thick), -s * 0.16
            )
        else:
            arm = Ellipsoid((s * 150 * a.breadth, -70 * a.stature, -40), (thick, 120, thick), 0.0)
        chord = arm.interval(p)
        total += np.maximum(chord.length - (chord & skin).length, 0)
    return total


def _bowel_gas(a: Anatomy, p: Projection) -> Floats:
    """The gas of the stomach under the left dome, with its fluid level, and some in the colon; as path lengths."""
    rng = np.random.default_rng([a.seed, 21])
    top, size = a.dome_top("left"), float(rng.uniform(0.45, 1.25))
    center = (float(56 + rng.normal(0, 7)), top + 9 + 15 * size, -15.0)
    gas = Ellipsoid(center, (26 * size, 15 * size, 24 * size), float(rng.normal(-0.1, 0.15))).chord(p)
    if p.view != "AP":
        gas = gas * np.clip((center[1] + 4 - p.y) / 2.0, 0, 1)
    for _ in range(int(rng.integers(0, 5))):
        r = float(rng.uniform(7, 14))
        place = (float(rng.uniform(60, 125)), top + float(rng.uniform(45, 110)), float(rng.uniform(-60, 10)))
        loop = Ellipsoid(place, (1.4 * r, 0.8 * r, r), float(rng.normal(0, 0.6))).chord(p)
        gas = np.maximum(gas, loop)
    return (0.75 * gas).astype(np.float32)


def _bones(a: Anatomy, p: Projection, fractures: Sequence[Fracture]) -> Floats:
    clouds = [*ribs(a, p, fractures), *shoulders(a, p), *skeleton.sternum(a, p), skeleton.processes(a, p)]
    return (project_points(p, *clouds) + skeleton.bodies(a, p) + humeral_heads(a, p)) * np.float32(a.mineral)
