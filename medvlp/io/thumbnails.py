"""`thumbnail`: a small gray picture of an image, of a volume in three planes, or of many images side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from medvlp.io.image import Image
from medvlp.io.intensity import window_values

_SOFT_TISSUE = (40.0, 400.0)
_AIR = -900.0  # nothing but Hounsfield units goes so low


def thumbnail(image: Image, side: int = 512) -> NDArray[np.uint8]:
    """A picture no larger than `side` along its longer edge.

    A volume is shown as its middle axial, coronal and sagittal slices, in true proportions, head up, the patient's
    right on the left of the picture; Hounsfield units in a soft tissue window, anything else over its range.

    Examples:
        >>> thumbnail(Image(np.zeros((100, 50), np.float32)), side=20).shape
        (20, 10)
    """
    if image.array.ndim == 2:
        return _fit(image.array, (1.0, 1.0), side)
    array = image.array
    if image.modality == "CT" or array.min() < _AIR:
        display = window_values(array, *_SOFT_TISSUE, "LINEAR_EXACT")
    else:
        low, high = float(array.min()), float(array.max())
        display = (array - low) / (high - low or 1)
    depth, height, width = image.spacing or (1.0, 1.0, 1.0)
    middle = [n // 2 for n in array.shape]
    axial = display[middle[0], ::-1, ::-1], (height, width)
    coronal = display[::-1, middle[1], ::-1], (depth, width)
    sagittal = display[::-1, :, middle[2]][:, ::-1], (depth, height)
    planes = [_fit(plane, spacing, side // 3) for plane, spacing in (axial, coronal, sagittal)]
    return contact_sheet(planes, columns=3)


def contact_sheet(pictures: Sequence[NDArray[np.uint8]], columns: int = 4) -> NDArray[np.uint8]:
    """Pictures in rows, each centered in a cell of the largest one's size.

    Examples:
        >>> contact_sheet([np.zeros((4, 8), np.uint8)] * 5, columns=3).shape
        (8, 24)
    """
    height, width = max(p.shape[0] for p in pictures), max(p.shape[1] for p in pictures)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    result = np.zeros((rows * height, columns * width), np.uint8)
    for index, picture in enumerate(pictures):
        top = index // columns * height + (height - picture.shape[0]) // 2
        left = index % columns * width + (width - picture.shape[1]) // 2
        result[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return result


def _fit(plane: NDArray[np.float32], spacing: tuple[float, float], side: int) -> NDArray[np.uint8]:
    """Scale to `side` along the longer edge in millimeters."""
    height, width = plane.shape[0] * spacing[0], plane.shape[1] * spacing[1]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    gray = np.rint(np.ascontiguousarray(plane) * 255).astype(np.uint8)
    return np.asarray(Picture.fromarray(gray).resize(size, Picture.Resampling.BOX, reducing_gap=None))
