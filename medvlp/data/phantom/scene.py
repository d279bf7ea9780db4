"""`Scene`: one chest before one beam, as maps of millimetres of each material, to which findings add theirs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, zoom

from medvlp.data.phantom import airways, organs, skeleton
from medvlp.data.phantom.anatomy import SIDES, Anatomy, Side, sign
from medvlp.data.phantom.geometry import Ellipsoid, Floats, Interval, Projection, Stack
from medvlp.data.phantom.skeleton import Break
from medvlp.data.phantom.strokes import Cloud, deposit, join, spline, tube

Mask = NDArray[np.bool_]

# linear attenuation in 1/mm near 65 keV, the effective energy of a chest exposure at 120 kV (rounded from NIST's tables)
MU_SOFT, MU_FAT, MU_BONE, MU_METAL = 0.0200, 0.0180, 0.0520, 0.35


@dataclass
class Scene:
    """Path lengths `[H, W]` in millimetres of what the beam meets; findings change them in place.

    Attributes:
        anatomy, projection: whose chest, and how it is seen.
        organs: per side, the heart with the great vessels, and the dome: what keeps the lung out.
        space: per side, the space inside the ribs.
        lung: per side, aerated lung.
        soft: soft tissue beyond trunk and lung; negative where air takes its place.
        markings: vessels within the lung.
        bone, metal, fat: as they say.
        lungs, heart: outlines of the lung fields and of the heart.
    """

    anatomy: Anatomy
    projection: Projection
    breaks: tuple[Break, ...] = ()
    organs: dict[Side, tuple[Interval, Interval]] = field(init=False)
    space: dict[Side, Stack] = field(init=False)
    lung: dict[Side, Floats] = field(init=False)
    soft: Floats = field(init=False)
    markings: Floats = field(init=False)
    bone: Floats = field(init=False)
    metal: Floats = field(init=False)
    fat: Floats = field(init=False)
    lungs: Mask = field(init=False)
    heart: Mask = field(init=False)

    def __post_init__(self) -> None:
        a, p = self.anatomy, self.projection
        heart = organs.hull(organs.heart_parts(a), p)
        centre = organs.hull([*organs.heart_parts(a), *organs.vessel_parts(a)], p)
        self.space = {side: organs.hemithorax(a, side) for side in SIDES}
        self.organs = {side: (centre, organs.dome(a, side).interval(p)) for side in SIDES}
        self.lung = {side: self.aerated(self.space[side], side) for side in SIDES}
        self.heart = heart.low < heart.high
        self.lungs = self._fields(centre)
        skin, inner = organs.trunk(a, a.fat).interval(p).length, organs.trunk(a, 0.0).interval(p).length
        self.soft, self.fat = inner, skin - inner
        self.metal = np.zeros(p.shape, np.float32)
        self._soft_parts()
        self._gas()
        self.markings = deposit(p, airways.vessel_cloud(a, 0.9 * p.pitch))
        self.soft = self.soft - deposit(p, airways.airway_cloud(a, 0.9 * p.pitch))
        self.bone = self._bones()

    @property
    def pitch(self) -> float:
        """Millimetres a pixel."""
        return self.projection.pitch

    def aerated(self, space: Stack, side: Side) -> Floats:
        """Path lengths through a space of one side that neither heart nor diaphragm takes."""
        inside = space.interval(self.projection)
        centre, dome = self.organs[side]
        taken = (inside & centre).length + (inside & dome).length - (inside & centre & dome).length
        return np.maximum(inside.length - taken, 0)

    def rim(self, side: Side, levels: ArrayLike, gap: ArrayLike) -> tuple[Floats, Stack]:
        """Path lengths between the ribs and a lung that has withdrawn by `gap` mm at each level, and that lung's space."""
        space = self.space[side].shrunk(np.asarray(gap), np.asarray(levels))
        return np.maximum(self.aerated(self.space[side], side) - self.aerated(space, side), 0), space

    def replace_lung(self, side: Side, path: Floats) -> None:
        """Put soft tissue in the place of `path` mm of lung; its vessels drown in it."""
        path = np.minimum(path, self.lung[side])
        self.markings = self.markings * (1 - path / np.maximum(self.lung[side], 1.0))
        self.lung[side] = self.lung[side] - path

    def empty_lung(self, side: Side, path: Floats) -> None:
        """Put air in the place of `path` mm of lung."""
        path = np.minimum(path, self.lung[side])
        self.soft = self.soft - path * np.float32(self.anatomy.lung_density)

    def draw(self, cloud: Cloud) -> Floats:
        """Path lengths of a cloud."""
        return deposit(self.projection, cloud)

    def strand(self, points: ArrayLike, radius: float, inner: float = 0.0) -> Floats:
        """Path lengths of a smooth tube through points `[K, 3]`."""
        step = 0.8 * self.pitch
        return self.draw(tube(spline(points, step), radius, step, inner))

    def texture(self, seed: int, grain: float) -> Floats:
        """Smooth noise of unit variance with structures of about `grain` mm, fixed to the picture's frame."""
        height, width = self.projection.shape
        coarse = max(grain / 2.0, self.pitch)
        shape = (int(np.ceil(height * self.pitch / coarse)) + 2, int(np.ceil(width * self.pitch / coarse)) + 2)
        noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32), 1.0)
        factor = coarse / self.pitch
        large = zoom(noise, factor, order=1) if factor > 1.01 else noise
        large = large[:height, :width]
        return (large - large.mean()) / max(float(large.std()), 1e-6)

    def line_integral(self) -> Floats:
        """Attenuation along each beam, dimensionless."""
        lung = self.lung["left"] + self.lung["right"]
        air = np.float32(1 - self.anatomy.lung_density)
        tissue = np.maximum(self.soft - air * (lung - self.markings), 0)
        tissue[self.soft + self.fat <= 0] = 0
        integral = MU_SOFT * tissue + MU_FAT * self.fat + (MU_BONE - MU_SOFT) * self.bone + MU_METAL * self.metal
        return integral.astype(np.float32)

    def _fields(self, centre: Interval) -> Mask:
        if not self.projection.frontal:
            return (self.lung["left"] + self.lung["right"]) > 12
        total = np.zeros(self.projection.shape, bool)
        for side in SIDES:
            dome = self.organs[side][1]
            total |= (self.lung[side] > 4) & (centre.low > centre.high) & (dome.low > dome.high)
        return total

    def _soft_parts(self) -> None:
        a, p = self.anatomy, self.projection
        trunk = organs.trunk(a, a.fat).interval(p)
        if a.breast:
            for part in organs.breasts(a):
                chord = part.interval(p)
                self.fat = self.fat + np.maximum(chord.length - (chord & trunk).length, 0)
        if p.frontal:
            for side in SIDES:
                x = sign(side) * (222 * a.breadth + a.fat)
                arm = Ellipsoid((x, 190 * a.stature, 0), (46 + 0.5 * a.fat, 190, 46 + 0.5 * a.fat), -sign(side) * 0.16)
                chord = arm.interval(p)
                self.soft = self.soft + np.maximum(chord.length - (chord & trunk).length, 0)

    def _gas(self) -> None:
        a, p = self.anatomy, self.projection
        rng = np.random.default_rng([a.seed, 21])
        top = a.dome_top("left")
        size = rng.uniform(0.5, 1.3)
        bubbles = [Ellipsoid((58 + rng.normal(0, 6), top + 16 + 13 * size, -25), (25 * size, 13 * size, 26 * size))]
        for _ in range(rng.integers(1, 5)):
            r = rng.uniform(9, 18)
            centre = (float(rng.uniform(40, 120)), top + float(rng.uniform(60, 110)), float(rng.uniform(-50, 20)))
            bubbles.append(Ellipsoid(centre, (r * 1.3, r * 0.8, r), float(rng.normal(0, 0.5))))
        for bubble in bubbles:
            self.soft = self.soft - 0.8 * bubble.chord(p)

    def _bones(self) -> Floats:
        a, p = self.anatomy, self.projection
        step = 0.95 * p.pitch
        abducted = {"PA": 30.0, "AP": 12.0, "LATERAL": 45.0}[p.view]
        clouds = [skeleton.ribs(a, step, self.breaks), skeleton.sternum(a, step), skeleton.processes(a, step)]
        if p.frontal:
            clouds.append(skeleton.girdle(a, step, abducted))
        bone = deposit(p, join(clouds)) + skeleton.spine(a, p)
        return bone * np.float32(a.mineral)
