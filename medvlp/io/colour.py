"""Colour pixels -> luma between 0 and 1 (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.io.blocks import in_blocks
from medvlp.io.pixel_layout import PixelLayout

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # the weights by which YBR_FULL defines Y
_FROM_YBR = np.array([[1, 0, 1.402], [1, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1, 1.772, 0]], np.float32)


def colour_values(stored: NDArray[Any], layout: PixelLayout) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """RGB or YBR `[H, W, 3]` -> luma float32 `[H, W]` between 0 and 1.

    YBR goes through RGB, clipped as a display clips it: Y alone differs where a colour lies outside what RGB can show.
    """
    white = np.float32((1 << layout.bits_stored) - 1)
    if layout.photometric == "RGB":
        shown = in_blocks(lambda rows: np.minimum(rows.astype(np.float32) @ LUMA / white, 1), stored)
        return shown, ("RGB reduced to luma",)
    middle = np.float32((1 << layout.bits_stored - 1) / white)
    partial = layout.photometric.startswith("YBR_PARTIAL")  # Y from 16 to 235, Cb and Cr from 16 to 240 of 8 bits

    def luma(rows: NDArray[Any]) -> NDArray[np.float32]:
        ybr = rows.astype(np.float32) / white
        ybr[..., 0] = (ybr[..., 0] - np.float32(16 / 255)) * np.float32(255 / 219) if partial else ybr[..., 0]
        ybr[..., 1:] = (ybr[..., 1:] - middle) * np.float32(255 / 224 if partial else 1)
        return np.clip(np.clip(ybr @ _FROM_YBR.T, 0, 1) @ LUMA, 0, 1)

    return in_blocks(luma, stored), (f"{layout.photometric} to RGB", "reduced to luma")
