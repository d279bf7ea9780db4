"""Heat maps, mask outlines and boxes drawn on a radiograph. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0))
"""RGB after Okabe and Ito (2008): told apart with any kind of colour vision, and on grey."""

TRUE_COLOUR = (80, 220, 120)  # what a person or the generator drew


def grey(pixels: ArrayLike) -> NDArray[np.uint8]:
    """Radiograph `[H, W]`, uint8 or float between 0 and 1 -> uint8 RGB `[H, W, 3]`."""
    pixels_ = np.asarray(pixels)
    if pixels_.dtype != np.uint8:
        pixels_ = np.rint(np.clip(pixels_, 0, 1) * 255).astype(np.uint8)
    return np.repeat(pixels_[:, :, None], 3, axis=2)


def draw_heat(rgb: NDArray[np.uint8], heat: ArrayLike, opacity: float = 0.6) -> NDArray[np.uint8]:
    """A heat map over a picture: the hotter, the less of the picture shows through, so that cold places stay clean.

    Args:
        rgb: uint8 `[H, W, 3]`, as of `grey`.
        heat: `[H, W]` on any scale, stretched to its own range; NaN shows the picture alone.
        opacity: of the hottest point.
    """
    import matplotlib

    heat_ = np.asarray(heat, dtype=np.float64)
    if heat_.shape != rgb.shape[:2]:
        raise ValueError(f"the heat map is {heat_.shape}, the picture {rgb.shape[:2]}; bring it to the original size")
    seen = heat_[np.isfinite(heat_)]
    low, span = (seen.min(), np.ptp(seen)) if len(seen) else (0.0, 0.0)
    level = np.nan_to_num((heat_ - low) / (span or 1.0)).clip(0, 1)
    colour = matplotlib.colormaps["inferno"](level)[:, :, :3] * 255
    alpha = (opacity * level**1.5)[:, :, None]
    return np.rint(rgb * (1 - alpha) + colour * alpha).astype(np.uint8)


def draw_masks(rgb: NDArray[np.uint8], masks: Mapping[str, ArrayLike], fill: float = 0.18) -> NDArray[np.uint8]:
    """Each mask as a coloured outline and a faint fill, in the order of `COLOURS`.

    Args:
        rgb: uint8 `[H, W, 3]`.
        masks: structure -> bool `[H, W]`.
        fill: opacity inside the outline.
    """
    from scipy.ndimage import binary_erosion

    drawn = rgb.astype(np.float64)
    for position, mask in enumerate(masks.values()):
        inside = np.asarray(mask, dtype=bool)
        colour = np.array(COLOURS[position % len(COLOURS)], dtype=np.float64)
        drawn[inside] = drawn[inside] * (1 - fill) + colour * fill
        drawn[inside & ~binary_erosion(inside, iterations=_stroke(rgb))] = colour
    return np.rint(drawn).astype(np.uint8)


def draw_boxes(
    rgb: NDArray[np.uint8], boxes: Sequence[Sequence[float]] | NDArray[np.float64], colour: Sequence[int] = TRUE_COLOUR
) -> NDArray[np.uint8]:
    """Boxes `[N, 4]` (x0, y0, x1, y1 in pixels) as outlines."""
    drawn, stroke = rgb.copy(), _stroke(rgb)
    height, width = rgb.shape[:2]
    for box in np.asarray(boxes, dtype=np.float64).reshape(-1, 4):
        x0, y0, x1, y1 = np.rint(box).astype(int).clip(0, (width, height, width, height))
        for rows, columns in (
            (slice(y0, y0 + stroke), slice(x0, x1)),
            (slice(max(y0, y1 - stroke), y1), slice(x0, x1)),
            (slice(y0, y1), slice(x0, x0 + stroke)),
            (slice(y0, y1), slice(max(x0, x1 - stroke), x1)),
        ):
            drawn[rows, columns] = colour
    return drawn


def _stroke(rgb: NDArray[np.uint8]) -> int:
    """Width of a line that is seen at any size of picture."""
    return max(1, round(max(rgb.shape[:2]) / 256))
