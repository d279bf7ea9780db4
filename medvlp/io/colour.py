"""Colour pixels -> luma between 0 and 1 (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.io.pixel_layout import PixelLayout

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # the weights by which YBR_FULL defines Y
_FROM_YBR = np.array([[1, 0, 1.402], [1, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1, 1.772, 0]], np.float32)


def colour_values(stored: NDArray[Any], layout: PixelLayout) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """RGB or YBR `[H, W, 3]` -> luma float32 `[H, W]` between 0 and 1.

    YBR goes through RGB, clipped as a display clips it: Y alone differs where a colour lies outside what RGB can show.
    """
    white = np.float32((1 << layout.bits_stored) - 1)
    rgb = stored.astype(np.float32) / white
    steps = ["RGB reduced to luma"]
    if layout.photometric != "RGB":
        steps = [f"{layout.photometric} to RGB", "reduced to luma"]
        middle = np.float32((1 << layout.bits_stored - 1) / white)
        if layout.photometric.startswith("YBR_PARTIAL"):  # Y from 16 to 235, Cb and Cr from 16 to 240 of 8 bits
            rgb[..., 0] = (rgb[..., 0] - np.float32(16 / 255)) * np.float32(255 / 219)
            rgb[..., 1:] = (rgb[..., 1:] - middle) * np.float32(255 / 224)
        else:
            rgb[..., 1:] -= middle
        rgb = np.clip(rgb @ _FROM_YBR.T, 0, 1)
    return np.clip(rgb @ LUMA, 0, 1), tuple(steps)
