"""Branching things of the lung: pulmonary vessels, and the trachea with the main bronchi."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from medvlp.data.phantom.anatomy import SIDES, Anatomy, Side, sign
from medvlp.data.phantom.organs import dome, heart_parts, hemithorax
from medvlp.data.phantom.strokes import Cloud, join, spline, tube

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
    return [
        np.stack([start, 0.5 * (start + hilum(a, "right")) + [0, 3, 0], hilum(a, "right") + [4, 6, 4]]),
        np.stack([start, 0.5 * (start + hilum(a, "left")) + [0, 4, 0], hilum(a, "left") + [-2, 10, 6]]),
    ]


def airway_cloud(a: Anatomy, step: float) -> Cloud:
    """The air in trachea and main bronchi."""
    wide = 8.5 if a.sex == "M" else 7.3
    right, left = bronchi(a)
    return join(
        [
            tube(spline(trachea(a), step), wide, step),
            tube(spline(right, step), wide * 0.78, step),
            tube(spline(left, step), wide * 0.68, step),
        ]
    )


def vessel_cloud(a: Anatomy, step: float) -> Cloud:
    """Pulmonary arteries and veins of both lungs, those parts that lie in the lung."""
    return join([_tree(a, side, step) for side in SIDES])


def _tree(a: Anatomy, side: Side, step: float) -> Cloud:
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
        clouds.append(_segments(starts[alive], ends[alive], bow[alive], radius[alive], step))
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
    cloud = join(clouds)
    cloud[:, 3] *= a.vessels**2
    return cloud


def _fan(rng: Generator, side: Side) -> NDArray[np.float64]:
    """First directions out of the hilum: up, across and mostly down, with depth at random."""
    angle = np.deg2rad(np.array([-80, -60, -38, -15, 8, 28, 46, 60, 72, 84]) + rng.normal(0, 5, 10))
    across, down = np.cos(angle), np.sin(angle)
    deep = rng.uniform(-0.9, 0.9, len(angle))
    directions = np.stack([sign(side) * across, down, deep], axis=1)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _segments(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    bow: NDArray[np.float64],
    radius: NDArray[np.float64],
    step: float,
) -> Cloud:
    """Slightly bowed tubes between points, thick ones as several threads."""
    if len(starts) == 0:
        return join([])
    span = np.linalg.norm(ends - starts, axis=1)
    t = np.linspace(0, 1, max(3, int(span.max() / step) + 1))
    line = starts[:, None] + (ends - starts)[:, None] * t[:, None] + bow[:, None] * (4 * t * (1 - t))[:, None]
    threads = int(np.clip(round((radius.max() / step) ** 2 * 3), 1, 16))
    k = np.arange(threads)
    distance = np.sqrt((k + 0.5) / threads) if threads > 1 else np.zeros(1)
    offset = np.stack([distance * np.cos(k * 2.39996), distance * np.sin(k * 2.39996), 0 * distance], axis=1)
    points = np.empty((len(starts), len(t), threads, 4))
    points[..., :3] = line[:, :, None] + radius[:, None, None, None] * offset
    points[..., 3] = (np.pi * radius**2 * span / (len(t) - 1) / threads)[:, None, None]
    return points.reshape(-1, 4)
