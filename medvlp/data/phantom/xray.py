"""From attenuation to the picture on a screen: Beer-Lambert, scatter, quantum noise, blur, and the detector's curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, zoom

from medvlp.data.phantom.geometry import Floats, Projection


@dataclass(frozen=True)
class Exposure:
    """How one picture was taken and processed.

    Attributes:
        photons: detected per pixel where nothing absorbs, in thousands.
        scatter: share of scattered photons behind an average chest.
        blur: standard deviation of the system's blur in mm.
        low, high: the percentiles of log exposure that become black and white.
        gamma: of the display curve; above 1 darkens.
        equalise: share of the coarse structure that processing takes out.
        detail: how far processing lifts fine structure, as a share of it.
        border: width in mm of the collimated black border on each side (top, bottom, left, right).
    """

    photons: float = 60.0
    scatter: float = 0.35
    blur: float = 0.5
    low: float = 2.0
    high: float = 99.0
    gamma: float = 1.0
    equalise: float = 0.35
    detail: float = 0.9
    border: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def sample_exposure(rng: Generator, view: str) -> Exposure:
    """Draw a technique: portable AP exposures are noisier, with more scatter."""
    portable = view == "AP"
    border = tuple(np.where(rng.random(4) < 0.12, rng.uniform(3, 18, 4), 0.0).tolist())
    return Exposure(
        photons=float(np.exp(rng.normal(np.log(60 if portable else 130), 0.3))),
        scatter=float(np.clip(rng.normal(0.45 if portable else 0.32, 0.06), 0.15, 0.65)),
        blur=float(rng.uniform(0.35, 0.8)),
        low=float(rng.uniform(0.5, 4)),
        high=float(rng.uniform(98.0, 99.8)),
        gamma=float(np.clip(rng.normal(1.15, 0.13), 0.85, 1.5)),
        equalise=float(rng.uniform(0.2, 0.5)),
        detail=float(rng.uniform(0.5, 1.4)),
        border=border,
    )


def expose(line_integral: Floats, projection: Projection, exposure: Exposure, rng: Generator | None) -> Floats:
    """The picture, float32 `[H, W]` in [0, 1] with bone white; without `rng` it has no quantum noise."""
    pitch = projection.pitch
    primary = np.exp(-line_integral)
    primary = gaussian_filter(primary, exposure.blur / pitch)
    scatter = _coarse(np.minimum(primary, 0.25), 28.0, pitch)
    ratio = exposure.scatter / (1 - exposure.scatter)
    total = primary + ratio * scatter
    if rng is not None:
        quanta = exposure.photons * 1000 * (pitch / 0.8) ** 2
        total = total + np.sqrt(total / quanta, dtype=np.float32) * rng.standard_normal(total.shape, dtype=np.float32)
    density = -np.log(np.maximum(total, 1e-4))
    return _display(density, pitch, exposure)


def _coarse(image: Floats, sigma: float, pitch: float) -> Floats:
    """A Gaussian blur of `sigma` mm, computed on a coarse grid: fine detail would be blurred away."""
    factor = max(1, int(sigma / pitch / 2.5))
    height, width = image.shape
    pad = ((0, -height % factor), (0, -width % factor))
    blocks = np.pad(image, pad, mode="edge")
    blocks = blocks.reshape(blocks.shape[0] // factor, factor, blocks.shape[1] // factor, factor).mean(axis=(1, 3))
    blocks = gaussian_filter(blocks, sigma / pitch / factor, mode="nearest")
    return zoom(blocks, factor, order=1, grid_mode=True, mode="nearest")[:height, :width]


def _display(density: Floats, pitch: float, exposure: Exposure) -> Floats:
    flat = density - np.float32(exposure.equalise) * _coarse(density, 35.0, pitch)
    flat += np.float32(exposure.detail) * (density - _coarse(density, 5.0, pitch))
    top, bottom, left, right = (int(b / pitch) for b in exposure.border)
    height, width = flat.shape
    field = flat[top : height - bottom, left : width - right]
    low, high = np.percentile(field[::4, ::4], [exposure.low, exposure.high])
    image = np.clip((flat - low) / max(high - low, 1e-3), 0, 1) ** np.float32(exposure.gamma)
    shown = np.zeros_like(image)
    shown[top : height - bottom, left : width - right] = image[top : height - bottom, left : width - right]
    return shown.astype(np.float32)
