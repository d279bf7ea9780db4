"""From attenuation to the image on a screen: Beer-Lambert, scatter, quantum noise, blur, and the detector's curve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from medvlp.phantom.geometry import Floats, Projection, View


@dataclass(frozen=True)
class Exposure:
    """How one image was taken and processed.

    Attributes:
        photons: per square of 0.8 mm, in thousands, for a chest of average thickness.
        scatter: fraction of scattered photons behind an average chest.
        blur: standard deviation of the system's blur in mm.
        low, high: percentiles of log exposure within the body; the higher becomes white.
        margin: how far below the lower one black lies, as a fraction of the range.
        gamma: of the display curve; above 1 darkens.
        equalize: fraction of the coarse structure that processing removes.
        detail: gain of fine structure by processing, as a fraction of it.
        border: width in mm of the collimated black border on each side (top, bottom, left, right).
    """

    photons: float = 60.0
    scatter: float = 0.35
    blur: float = 0.5
    low: float = 2.0
    high: float = 99.0
    margin: float = 0.15
    gamma: float = 1.0
    equalize: float = 0.35
    detail: float = 0.9
    border: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def sample_exposure(rng: Generator, view: View) -> Exposure:
    """Sample an exposure: portable AP exposures are noisier, with more scatter."""
    border = tuple(np.where(rng.random(4) < 0.12, rng.uniform(3, 18, 4), 0.0).tolist())
    return Exposure(
        photons=float(np.exp(rng.normal(np.log({"PA": 130, "AP": 140, "LATERAL": 400}[view]), 0.3))),
        scatter=float(np.clip(rng.normal({"PA": 0.32, "AP": 0.45, "LATERAL": 0.42}[view], 0.06), 0.15, 0.65)),
        blur=float(rng.uniform(0.2, 0.55)),
        low=float(rng.uniform(0.5, 4)),
        high=float(rng.uniform(98.0, 99.8)),
        margin=float(rng.uniform(0.1, 0.32) + (0.1 if view == "LATERAL" else 0)),
        gamma=float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.35)),
        equalize=float(rng.uniform(0.2, 0.5)),
        detail=float(rng.uniform(0.5, 1.3) * (0.7 if view == "LATERAL" else 1)),
        border=border,
    )


def expose(line_integral: Floats, projection: Projection, exposure: Exposure, rng: Generator | None) -> Floats:
    """The image, float32 `[H, W]` in [0, 1] with bone white; without `rng` it has no quantum noise."""
    pitch = projection.pitch
    primary = np.exp(-line_integral)
    primary = gaussian_filter(primary, exposure.blur / pitch, truncate=3.0)
    scatter = _coarse(np.minimum(primary, 0.25), 28.0, pitch)
    ratio = exposure.scatter / (1 - exposure.scatter)
    total = primary + ratio * scatter
    if rng is not None:
        # automatic exposure control: a thick chest is given more
        quanta = exposure.photons * 1000 * (pitch / 0.8) ** 2 * 0.04 / float(np.median(total[::4, ::4]))
        total = total + np.sqrt(total / quanta, dtype=np.float32) * rng.standard_normal(total.shape, dtype=np.float32)
    density = -np.log(np.maximum(total, 1e-4))
    return _display(density, pitch, exposure)


def _coarse(image: Floats, sigma: float, pitch: float) -> Floats:
    """A Gaussian blur of `sigma` mm, computed on a coarse grid: fine detail would be blurred away."""
    factor = max(1, int(sigma / pitch / 2.5))
    height, width = image.shape
    pad = ((0, -height % factor), (0, -width % factor))
    blocks = np.pad(image, pad, mode="edge") if any(p[1] for p in pad) else image
    blocks = blocks.reshape(blocks.shape[0] // factor, factor, blocks.shape[1] // factor, factor).mean(axis=(1, 3))
    blocks = gaussian_filter(blocks, sigma / pitch / factor, mode="nearest", truncate=3.0)
    return _stretch(height, factor) @ blocks @ _stretch(width, factor).T


@lru_cache(maxsize=32)
def _stretch(length: int, factor: int) -> Floats:
    """Linear interpolation from blocks of `factor` pixels to pixels, as a matrix `[length, blocks]`."""
    blocks = -(-length // factor)
    at = np.clip((np.arange(length) + 0.5) / factor - 0.5, 0, blocks - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(blocks))).astype(np.float32)


def _display(density: Floats, pitch: float, exposure: Exposure) -> Floats:
    flat = density - np.float32(exposure.equalize) * _coarse(density, 35.0, pitch)
    flat += np.float32(exposure.detail) * (density - _coarse(density, 5.0, pitch))
    top, bottom, left, right = (int(b / pitch) for b in exposure.border)
    height, width = flat.shape
    body = flat[::4, ::4][density[::4, ::4] > 0.9]
    low, high = np.percentile(body, [exposure.low, exposure.high]) if body.size else (0.0, 1.0)
    low -= exposure.margin * (high - low)
    image = np.clip((flat - low) / max(high - low, 1e-3), 0, 1) ** np.float32(exposure.gamma)
    shown = np.zeros_like(image)
    shown[top : height - bottom, left : width - right] = image[top : height - bottom, left : width - right]
    return shown.astype(np.float32)
