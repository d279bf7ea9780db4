"""Pulmonary vessels as branching trees, and the trachea with the main bronchi."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from medvlp.phantom.anatomy import SIDES, Anatomy, Side, sign
from medvlp.phantom.geometry import Projection
from medvlp.phantom.organs import dome, heart_parts, hemithorax
from medvlp.phantom.point_clouds import PointCloud, rods, spline, tube

GENERATIONS = 7


def hilum(a: Anatomy, side: Side) -> NDArray[np.float64]:
    """The point where vessels and bronchus enter a lung; the left one stands higher."""
    x, y = (36.0, 108.0) if side == "left" else (34.0, 116.0)
    return np.array([sign(side) * x * a.breadth + 0.8 * a.shift, y * a.stature, 4.0])


def carina(a: Anatomy) -> NDArray[np.float64]:
    """Where the trachea divides."""
    return np.array([0.7 * a.shift - 2.0, 92.0 * a.stature, 22.0])


def trachea(a: Anatomy) -> NDArray[np.float64]:
    """Points of the middle line of the trachea, from the neck to the carina."""
    end, pull = carina(a), a.shift
    return np.array([[0, -110, -5], [0.1 * pull, -40, 0], [0.4 * pull - 1, 30 * a.stature, 10], end])


def bronchi(a: Anatomy) -> list[NDArray[np.float64]]:
    """Middle lines of the two main bronchi, right first: it is wider, shorter and steeper."""
    start = carina(a)
    right, left = hilum(a, "right"), hilum(a, "left")
    return [
        np.stack([start, 0.5 * (start + right) + np.array([0, 3, 0]), right + np.array([4, 6, 4])]),
        np.stack([start, 0.5 * (start + left) + np.array([0, 4, 0]), left + np.array([-2, 10, 6])]),
    ]


def airway_clouds(a: Anatomy, p: Projection) -> list[PointCloud]:
    """The air in trachea and main bronchi."""
    wide = 8.5 if a.sex == "M" else 7.3
    right, left = bronchi(a)
    return [
        tube(p, spline(trachea(a), p.pitch), wide),
        tube(p, spline(right, p.pitch), wide * 0.78),
        tube(p, spline(left, p.pitch), wide * 0.68),
    ]


def vessel_clouds(a: Anatomy, p: Projection) -> list[PointCloud]:
    """Pulmonary arteries and veins of both lungs, where they lie in the lung."""
    return [cloud for side in SIDES for cloud in _tree(a, side, p)]


def _tree(a: Anatomy, side: Side, p: Projection) -> list[PointCloud]:
    rng = np.random.default_rng([a.seed, 11 if side == "left" else 12])
    root = hilum(a, side)
    directions = _fan(rng, side)
    count = len(directions)
    starts = root + rng.normal(0, 1, (count, 3)) * [3, 12, 8]
    radius = rng.uniform(3.0, 4.8, count) * (1 + 0.2 * directions[:, 1])
    length = rng.uniform(26, 36, count) * a.stature
    lung, diaphragm, heart = hemithorax(a, side), dome(a, side), heart_parts(a)
    alive = np.ones(count, bool)  # a branch that leaves the lung ends, but still takes its random numbers
    clouds = []
    for generation in range(GENERATIONS):
        ends = starts + directions * length[:, None]
        alive = alive & lung.contains(ends, margin=2) & ~diaphragm.contains(ends)
        for part in heart:
            alive &= ~part.contains(ends)
        bow = rng.normal(0, 0.08, (len(starts), 3)) * length[:, None]
        clouds.append(rods(p, starts[alive], ends[alive], a.vessels * radius[alive], bow[alive]))
        alive = np.repeat(alive, 2)
        starts, parents = np.repeat(ends, 2, axis=0), np.repeat(directions, 2, axis=0)
        outward = starts - root
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        spread = rng.normal(0, 0.36 + 0.04 * generation, parents.shape)
        spread[1::2] = -spread[::2] + rng.normal(0, 0.12, spread[::2].shape)
        directions = parents + spread + 0.25 * outward
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        radius = np.repeat(radius, 2) * rng.uniform(0.66, 0.84, len(starts))
        length = np.repeat(length, 2) * rng.uniform(0.68, 0.95, len(starts))
    return clouds


def _fan(rng: Generator, side: Side) -> NDArray[np.float64]:
    """First directions out of the hilum: up, across and mostly down, with depth at random."""
    angle = np.deg2rad(np.array([-80, -60, -38, -15, 8, 28, 46, 60, 72, 84]) + rng.normal(0, 5, 10))
    across, down = np.cos(angle), np.sin(angle)
    deep = rng.uniform(-0.9, 0.9, len(angle))
    directions = np.stack([sign(side) * across, down, deep], axis=1)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)
