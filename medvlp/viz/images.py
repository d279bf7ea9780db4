"""Radiographs as RGB images: heat maps, outlines and boxes drawn on them; PNG files and data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

COLORS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0))
"""RGB colors of Okabe and Ito (2008): distinct with any kind of color vision, and on gray."""

TRUE_COLOR = (80, 220, 120)  # what a person or the generator drew


def gray_to_rgb(pixels: ArrayLike) -> NDArray[np.uint8]:
    """Radiograph `[H, W]`, uint8 or float between 0 and 1 -> uint8 RGB `[H, W, 3]`.

    Examples:
        >>> gray_to_rgb([[0.0, 1.0]]).tolist()
        [[[0, 0, 0], [255, 255, 255]]]
    """
    pixels_ = np.asarray(pixels)
    if pixels_.dtype != np.uint8:
        pixels_ = np.rint(np.clip(pixels_, 0, 1) * 255).astype(np.uint8)
    return np.repeat(pixels_[:, :, None], 3, axis=2)


def draw_heat(rgb: NDArray[np.uint8], heat: ArrayLike, opacity: float = 0.6) -> NDArray[np.uint8]:
    """A heat map over an image: the hotter, the less of the image shows through, so that cold regions stay clean.

    Args:
        rgb: uint8 `[H, W, 3]`, as from `gray_to_rgb`.
        heat: `[H, W]` on any scale, stretched to its own range; NaN shows the image alone.
        opacity: of the hottest point.

    Raises:
        ValueError: the two differ in shape.

    Examples:
        >>> draw_heat(gray_to_rgb(np.zeros((2, 2))), [[0.0, 1.0], [0.0, np.nan]]).shape
        (2, 2, 3)
    """
    import matplotlib

    heat_ = np.asarray(heat, dtype=np.float64)
    if heat_.shape != rgb.shape[:2]:
        raise ValueError(f"the heat map is {heat_.shape}, the image {rgb.shape[:2]}; bring it to the original size")
    finite = heat_[np.isfinite(heat_)]
    low, span = (finite.min(), np.ptp(finite)) if len(finite) else (0.0, 0.0)
    level = np.nan_to_num((heat_ - low) / (span or 1.0)).clip(0, 1)
    color = matplotlib.colormaps["inferno"](level)[:, :, :3] * 255
    alpha = (opacity * level**1.5)[:, :, None]
    return np.rint(rgb * (1 - alpha) + color * alpha).astype(np.uint8)


def draw_masks(rgb: NDArray[np.uint8], masks: Mapping[str, ArrayLike], fill: float = 0.18) -> NDArray[np.uint8]:
    """Each mask as a colored outline and a faint fill, in the order of `COLORS`.

    Args:
        rgb: uint8 `[H, W, 3]`.
        masks: structure -> bool `[H, W]`.
        fill: opacity inside the outline.

    Examples:
        >>> draw_masks(gray_to_rgb(np.zeros((3, 3))), {"lungs": np.eye(3)})[0, 0].tolist()
        [86, 180, 233]
    """
    from scipy.ndimage import binary_erosion

    drawn = rgb.astype(np.float64)
    for position, mask in enumerate(masks.values()):
        inside = np.asarray(mask, dtype=bool)
        color = np.array(COLORS[position % len(COLORS)], dtype=np.float64)
        drawn[inside] = drawn[inside] * (1 - fill) + color * fill
        drawn[inside & ~binary_erosion(inside, iterations=_stroke(rgb))] = color
    return np.rint(drawn).astype(np.uint8)


def draw_boxes(
    rgb: NDArray[np.uint8], boxes: Sequence[Sequence[float]] | NDArray[np.float64], color: Sequence[int] = TRUE_COLOR
) -> NDArray[np.uint8]:
    """Boxes `[N, 4]` (x0, y0, x1, y1 in pixels) as outlines.

    Examples:
        >>> draw_boxes(gray_to_rgb(np.zeros((9, 9))), [[2, 2, 7, 7]])[2, 2].tolist()
        [80, 220, 120]
    """
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
            drawn[rows, columns] = color
    return drawn


def write_png(path: str | Path, pixels: NDArray[np.uint8] | NDArray[np.bool_], notice: str | None = None) -> None:
    """Write a PNG.

    Args:
        path: of the file.
        pixels: uint8 `[H, W]` or `[H, W, 3]`, or a mask (bool, written as 0 and 255).
        notice: written into the file as the text `Comment`, such as that a model was trained on generated data.
    """
    metadata = PngInfo()
    if notice:
        metadata.add_text("Comment", notice)
    image = PillowImage.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels)
    image.save(path, pnginfo=metadata)


def image_uri(pixels: NDArray[np.uint8], side: int = 384) -> str:
    """uint8 `[H, W]` or `[H, W, 3]` -> a `data:` URI (JPEG), so that a page needs no other file.

    Args:
        pixels: the image.
        side: larger images are reduced to this long side, in pixels.

    Examples:
        >>> image_uri(np.zeros((4, 4), np.uint8))[:23]
        'data:image/jpeg;base64,'
    """
    image = PillowImage.fromarray(pixels)
    image.thumbnail((side, side), PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, subsampling=0)  # full color resolution: outlines are thin
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _stroke(rgb: NDArray[np.uint8]) -> int:
    """Width of a line that is visible at any image size."""
    return max(1, round(max(rgb.shape[:2]) / 256))
