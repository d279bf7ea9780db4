"""`image_statistics`: of every image of a store the brightness, spread, polarity, and a hash of what it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy.fft import dctn

from medvlp.data.store import Store

_THUMBNAIL = 32
_FREQUENCIES = 16
_AT_ONCE = 256
_TRIMMED = (0.015, 0.03, 0.045, 0.06, 0.08)  # of each side: what a copy may have lost evenly

# The mean frontal chest of the generator (`medvlp data phantom`, 119 images, made symmetric), 0 black to 255 white:
# bright mediastinum and abdomen, dark lungs. Over 2,000 real frontal radiographs of three public sets the correlation
# with it was 0.13 or more, and of the same ones inverted -0.13 or less.
_FRONTAL = np.array(
    [
        [33, 75, 109, 134],
        [103, 135, 118, 158],
        [113, 126, 95, 165],
        [82, 101, 96, 182],
        [66, 94, 114, 200],
        [64, 113, 152, 214],
        [65, 149, 199, 231],
        [62, 155, 209, 231],
    ],
    np.float32,
)
FRONTAL_CHEST = np.concatenate([_FRONTAL, _FRONTAL[:, ::-1]], axis=1)


@dataclass(frozen=True, eq=False)
class ImageStatistics:
    """What was measured on N images, without their letterbox.

    Attributes:
        mean, spread: gray level and its standard deviation, on the scale of 0 to 255, `[N]`.
        frontal: correlation with the mean frontal chest, `[N]`; clearly negative where black and white are exchanged.
        hash: 256 bits as 32 bytes, `[N, 32]`: signs of the low frequencies. A copy after recompression, resizing or a
            change of tone differs by at most 34 bits, other radiographs by 52 and more (800 real images).
        trimmed: `[N, T, 32]`, the same of the image without 1.5, 3, 4.5, 6 and 8 % at each side: one of these is near
            to the hash of a copy that was cropped so.
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    frontal: NDArray[np.float32]
    hash: NDArray[np.uint8]
    trimmed: NDArray[np.uint8]


def image_statistics(store: Store, progress: Callable[[int, int], None] | None = None) -> ImageStatistics:
    """Measure every image of a store; of a volume, its mean from front to back, which looks like a radiograph."""
    heights, widths = store.table["height"].to_numpy(), store.table["width"].to_numpy()
    measured = []
    for row in range(len(store)):
        (stored,) = store.images([row])
        measured.append(_measure(store.preprocess.picture(stored, (heights[row], widths[row]))))
        if progress and (len(measured) % _AT_ONCE == 0 or len(measured) == len(store)):
            progress(len(measured), len(store))
    return ImageStatistics(
        mean=np.array([m[0] for m in measured], np.float32),
        spread=np.array([m[1] for m in measured], np.float32),
        frontal=np.array([m[2] for m in measured], np.float32),
        hash=np.array([m[3] for m in measured], np.uint8).reshape(-1, _FREQUENCIES**2 // 8),
        trimmed=np.array([m[4] for m in measured], np.uint8).reshape(-1, len(_TRIMMED), _FREQUENCIES**2 // 8),
    )


def _measure(pixels: NDArray[np.uint8]) -> tuple[float, float, float, NDArray[np.uint8], list[NDArray[np.uint8]]]:
    chest = _correlation(_shrunk(pixels, 8), FRONTAL_CHEST)
    return float(pixels.mean()), float(pixels.std()), chest, _code(pixels), [_code(pixels, side) for side in _TRIMMED]


def _code(pixels: NDArray[np.uint8], side: float = 0.0) -> NDArray[np.uint8]:
    """The hash of the image without this fraction of its height and width at each side."""
    top, left = (side * n for n in pixels.shape)
    low = dctn(_shrunk(pixels, _THUMBNAIL, (left, top)), norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel()
    return np.packbits(low > np.median(low[1:]))


def _shrunk(pixels: NDArray[np.uint8], size: int, corner: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float32]:
    """`[size, size]`, of what lies inside `corner`, pixels from the left and from the top, and as far from the other
    sides."""
    height, width = pixels.shape
    box = (*corner, width - corner[0], height - corner[1])
    resized = PillowImage.fromarray(pixels).resize((size, size), PillowImage.Resampling.BILINEAR, box=box)
    return np.asarray(resized, np.float32)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(1e-6, float(np.linalg.norm(a) * np.linalg.norm(b))))
