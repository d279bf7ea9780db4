"""What a worker does with one row: decode, reduce to each size, and forget the full-size file."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.data.mask_files import read_mask
from medvlp.data.preprocess_kinds import AnyPreprocess
from medvlp.data.volume_preprocess import VolumePreprocess
from medvlp.data.volume_reading import read_row_volume
from medvlp.io.errors import ReadError
from medvlp.io.image import Image
from medvlp.io.readers import read_image  # not when it is called: a broken installation is not a row's bad file


@dataclass(frozen=True)
class ImageTask:
    """One row of the manifest: file, frame (None: the reader's choice), cells of its masks, name of its data set."""

    path: str
    frame: int | None
    masks: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class PreparedImage:
    """One image at each size, and what is kept of the file.

    Attributes:
        pixels: per size, as the preprocessing stores it: uint8 `[size, size]`, or the blocks of an int16 volume.
        masks: per size uint8 `[K, *shape]` (0, 1, 255 = not drawn), or None for an image without any mask.
        shape: of the original, `(height, width)` or `(depth, height, width)`.
        spacing: millimetres a pixel of the original along each axis, NaN where unknown.
        checksum: of the first size's pixels; equal for identical images.
        mask_reason: why a mask could not be read, or "".
    """

    pixels: tuple[NDArray[Any], ...]
    masks: tuple[NDArray[np.uint8], ...] | None
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    checksum: int
    mask_reason: str


def prepare_image(task: ImageTask, preprocess: tuple[AnyPreprocess, ...]) -> PreparedImage:
    """Read and reduce one image.

    Raises:
        ReadError: the file cannot be read or trusted; its row goes to the quarantine table.
    """
    if isinstance(preprocess[0], VolumePreprocess):
        image = read_row_volume(task.path, task.frame, task.source)
    else:
        image = _radiograph(task)
    masks, mask_reason = _masks(task, image, preprocess)
    pixels = tuple(p.pack(p.apply(image)) for p in preprocess)
    spacing = image.spacing or (float("nan"),) * image.array.ndim
    return PreparedImage(pixels, masks, image.array.shape, spacing, zlib.crc32(pixels[0].tobytes()), mask_reason)


def _radiograph(task: ImageTask) -> Image:
    image = read_image(task.path, frame=task.frame)
    if image.array.ndim != 2:
        raise ReadError(task.path, f"a volume of shape {image.array.shape}, not a radiograph")
    return image


def _masks(
    task: ImageTask, image: Image, preprocess: tuple[AnyPreprocess, ...]
) -> tuple[tuple[NDArray[np.uint8], ...] | None, str]:
    """The masks at each size, and why one is missing though it was named; a bad mask does not cost its image."""
    if not any(task.masks):
        return None, ""
    reduced = tuple(np.full((len(task.masks), *p.shape), 255, np.uint8) for p in preprocess)
    reason = ""
    for k, cell in enumerate(task.masks):
        if not cell:
            continue
        try:
            mask = read_mask(cell, image)
        except ReadError as error:
            reason = error.reason
            continue
        for masks, p in zip(reduced, preprocess, strict=True):
            masks[k] = p.apply_mask(mask, image.spacing)
    return reduced, reason
