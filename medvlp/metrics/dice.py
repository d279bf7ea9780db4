"""Dice of masks under three definitions, each with its name: the same masks give 46, 70 or 75 by what is averaged.

Everything is counted from four areas an image (`mask_areas`), so that images of different sizes go together and every
definition goes through the patient bootstrap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.metrics.image_mean import image_mean


def mask_areas(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.int64]:
    """Pixels of one image: `[4]` = intersection, predicted, true, all. Stack the images to `[N, 4]`.

    Raises:
        ValueError: the two masks differ in shape.
    """
    p, t = np.asarray(predicted, dtype=bool), np.asarray(true, dtype=bool)
    if p.shape != t.shape:
        raise ValueError(f"the predicted mask is {p.shape}, the true mask {t.shape}; bring both to the original size")
    return np.array([np.count_nonzero(p & t), np.count_nonzero(p), np.count_nonzero(t), t.size])


def dice(predicted: ArrayLike, true: ArrayLike) -> float:
    """`2 |P and T| / (|P| + |T|)` of one image's foreground; NaN where nothing is there to be found."""
    return float(dice_foreground(mask_areas(predicted, true)[None]))


def dice_of_each(areas: ArrayLike) -> NDArray[np.float64]:
    """Foreground Dice of each image, `[N]` of areas `[N, 4]`; NaN where nothing is there to be found, or no mask is."""
    overlap, predicted, true, _ = np.asarray(areas, dtype=np.float64).T
    return np.where(true > 0, 2 * overlap / np.maximum(predicted + true, 1), np.nan)


def dice_foreground(areas: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Our figure: mean foreground Dice over the images that have the structure.

    Args:
        areas: `[N, 4]` of `mask_areas`.
        weights: `[N]` or `[N, R]`.

    Returns:
        `[]` or `[R]`; NaN where no image has the structure.
    """
    return image_mean(dice_of_each(areas), weights)


def dice_empty_is_one(areas: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The GLoRIA and MGCA tables: all images; without a true mask, 1 if nothing was predicted and 0 otherwise.

    Departure: they average the means of batches, which depends on the batch size; this is the mean over images.
    """
    overlap, predicted, true, _ = np.asarray(areas, dtype=np.float64).T
    either = predicted + true
    return image_mean(np.where(either > 0, 2 * overlap / np.maximum(either, 1), 1.0), weights)


def dice_with_background(areas: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The BenchX tables (mDice of mmsegmentation): areas summed over all images, mean of foreground and background.

    The background is easy and weighs one half, which is why these figures stand so high.
    """
    areas_ = np.asarray(areas, dtype=np.float64)
    weights_ = np.ones(len(areas_)) if weights is None else np.asarray(weights, dtype=np.float64)
    overlap, predicted, true, pixels = (areas_.T @ weights_)[:4]
    foreground = _ratio(2 * overlap, predicted + true)
    background = _ratio(2 * (pixels - predicted - true + overlap), 2 * pixels - predicted - true)
    return (foreground + background) / 2


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.full(np.shape(bottom), np.nan), where=bottom > 0)[()]
