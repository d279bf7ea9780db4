"""Colour and palette pixels -> luma between 0 and 1 (PS3.3 C.7.6.3.1.2, C.7.9)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvlp.io.errors import Unreadable
from medvlp.io.pixel_layout import PixelLayout

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # the weights of Y in YBR_FULL, so both colour spaces give one grey


def colour_values(stored: NDArray[np.generic], layout: PixelLayout) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """RGB or YBR `[H, W, 3]` -> luma `[H, W]` between 0 and 1.

    YBR_FULL's first component is the luma; YBR_PARTIAL's runs from 16 to 235.
    """
    white = np.float32((1 << layout.bits_stored) - 1)
    photometric = layout.photometric
    if photometric == "RGB":
        return np.clip(stored.astype(np.float32) @ LUMA / white, 0, 1), ("RGB reduced to luma",)
    luma = stored[..., 0].astype(np.float32) / white
    if photometric.startswith("YBR_PARTIAL"):
        luma = (luma * 255 - 16) / 219
    return np.clip(luma, 0, 1).astype(np.float32), (f"{photometric} reduced to its luma",)


def palette_values(
    stored: NDArray[np.generic], layout: PixelLayout, header: Dataset
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """PALETTE COLOR indices -> luma `[H, W]` between 0 and 1."""
    from pydicom.pixels.processing import apply_color_lut

    try:
        rgb = apply_color_lut(np.asarray(stored), header)
    except Exception as error:
        raise Unreadable(f"the colour palette cannot be applied ({type(error).__name__})") from None
    white = np.float32(np.iinfo(rgb.dtype).max)
    return np.clip(rgb[..., :3].astype(np.float32) @ LUMA / white, 0, 1), ("palette applied, reduced to luma",)
