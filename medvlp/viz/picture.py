"""Pictures as files and as text inside a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo


def write_png(path: str | Path, pixels: NDArray[np.uint8] | NDArray[np.bool_], notice: str | None = None) -> None:
    """Write a PNG.

    Args:
        path: of the file.
        pixels: uint8 `[H, W]` or `[H, W, 3]`, or a mask (bool, written as 0 and 255).
        notice: put into the file as the text `Comment`, for a model trained on generated data.
    """
    words = PngInfo()
    if notice:
        words.add_text("Comment", notice)
    picture = PillowImage.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels)
    picture.save(path, pnginfo=words)


def picture_uri(pixels: NDArray[np.uint8], side: int = 384) -> str:
    """uint8 `[H, W]` or `[H, W, 3]` -> a `data:` address, so that a page needs no other file.

    Args:
        pixels: the picture.
        side: larger pictures are reduced to this long side, in pixels.
    """
    picture = PillowImage.fromarray(pixels)
    picture.thumbnail((side, side), PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, subsampling=0)  # full colour resolution: outlines are thin
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
