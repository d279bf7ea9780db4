"""What a worker of `prepare` does with one row of the manifest: read the file, and reduce it to each size."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.data.image_kind import AnyPreprocess
from medvlp.data.indexing.registry import volume_reader
from medvlp.data.mask_files import read_mask
from medvlp.data.volume_preprocess import VolumePreprocess
from medvlp.io.errors import ReadError
from medvlp.io.geometry import AXES
from medvlp.io.image import Image
from medvlp.io.readers import (  # not when they are called: a broken installation is not a row's bad file
    read_image,
    read_volume,
)

_BELOW_WATER = -200.0  # HU: every scan has air in it or around it, and no scanner stores this unless it means HU


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
        spacing: millimeters a pixel of the original along each axis, NaN where unknown.
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
        image = read_ct(task.path, task.frame, task.source)
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


def read_ct(path: str, frame: int | None, source: str) -> Image:
    """Read a CT in Hounsfield units, axes to the head, the front and the right.

    Args:
        path: NIfTI file, DICOM file or folder, or a file of the data set's own form.
        frame: of NIfTI the time point; of DICOM files which of their volumes, the largest first; None: see
            `medvlp.io.read_volume`.
        source: name of the data set.

    Raises:
        ReadError: the volume cannot be read, or nobody can tell where its left is, how large it is, or that its values
            are Hounsfield units.
    """
    reader = volume_reader(source) if path.lower().endswith(".npz") else None
    if reader is not None:
        image = reader(Path(path))
    elif path.lower().endswith((".nii", ".nii.gz")):
        image = read_volume(path, frame=frame)
    else:
        image = read_volume(path, series=frame)
    if image.orientation != AXES or image.spacing is None:
        raise ReadError(path, "the file does not say where left and right are (no sform, no qform): write its affine")
    if float(image.array.min()) > _BELOW_WATER:
        raise ReadError(
            path,
            f"no value below {_BELOW_WATER:g}: not Hounsfield units (MR, or a CT that its table must still rescale: "
            "medvlp.io.to_hounsfield)",
        )
    return image
