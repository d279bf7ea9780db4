"""What a worker does with one row: decode, letterbox to each size, and forget the full-size file."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvlp.data.mask_files import read_mask
from medvlp.data.preprocess import Preprocess
from medvlp.io.errors import ReadError
from medvlp.io.image import Image
from medvlp.io.radiograph import read_image  # not when it is called: a broken installation is not a row's bad file


@dataclass(frozen=True)
class ImageTask:
    """One row of the manifest: its file, the frame (None: the reader's choice) and the cells of its masks."""

    path: str
    frame: int | None
    masks: tuple[str, ...]


@dataclass(frozen=True)
class PreparedImage:
    """One image at each size, and what is kept of the file.

    Attributes:
        pixels: per size uint8 `[size, size]`.
        masks: per size uint8 `[K, size, size]` (0, 1, 255 = not drawn), or None for an image without any mask.
        height, width: of the original, in pixels.
        spacing: millimetres a pixel of the original (rows), NaN where unknown.
        checksum: of the first size's pixels; equal for identical images.
        mask_reason: why a mask could not be read, or "".
    """

    pixels: tuple[NDArray[np.uint8], ...]
    masks: tuple[NDArray[np.uint8], ...] | None
    height: int
    width: int
    spacing: float
    checksum: int
    mask_reason: str


def prepare_image(task: ImageTask, preprocess: tuple[Preprocess, ...]) -> PreparedImage:
    """Read and reduce one image.

    Raises:
        ReadError: the file cannot be read or trusted; its row goes to the quarantine table.
    """
    image = read_image(task.path, frame=task.frame)
    if image.array.ndim != 2:
        raise ReadError(task.path, f"a volume of shape {image.array.shape}, not a radiograph")
    height, width = image.array.shape
    masks, mask_reason = _masks(task, image, preprocess)
    pixels = tuple(p.apply(image) for p in preprocess)
    spacing = image.spacing[0] if image.spacing else float("nan")
    return PreparedImage(pixels, masks, height, width, spacing, zlib.crc32(pixels[0].tobytes()), mask_reason)


def _masks(
    task: ImageTask, image: Image, preprocess: tuple[Preprocess, ...]
) -> tuple[tuple[NDArray[np.uint8], ...] | None, str]:
    """The masks at each size, and why one is missing though it was named; a bad mask does not cost its image."""
    if not any(task.masks):
        return None, ""
    squares = tuple(np.full((len(task.masks), p.size, p.size), 255, np.uint8) for p in preprocess)
    reason = ""
    for k, cell in enumerate(task.masks):
        if not cell:
            continue
        try:
            mask = read_mask(cell, image)
        except ReadError as error:
            reason = error.reason
            continue
        for square, p in zip(squares, preprocess, strict=True):
            square[k] = p.apply_mask(mask)
    return squares, reason
