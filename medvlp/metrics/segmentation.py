"""Dice of masks under three definitions, each with its name: the same masks give 46, 70 or 75 by what is averaged.

All are computed from four areas per image (`mask_areas`), so that images of different sizes go together and every
definition goes through the patient bootstrap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvlp.metrics.intervals import image_mean


def mask_areas(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.int64]:
    """Pixels of one image: `[4]` = intersection, predicted, true, all. Stack the images to `[N, 4]`.

    Raises:
        ValueError: the two masks differ in shape.

    Examples:
        >>> mask_areas([[1, 1, 0]], [[0, 1, 0]]).tolist()
        [1, 2, 1, 3]
    """
    p, t = np.asarray(predicted, dtype=bool), np.asarray(true, dtype=bool)
    if p.shape != t.shape:
        raise ValueError(f"the predicted mask is {p.shape}, the true mask {t.shape}; bring both to the original size")
    return np.array([np.count_nonzero(p & t), np.count_nonzero(p), np.count_nonzero(t), t.size])


def dice(predicted: ArrayLike, true: ArrayLike) -> float:
    """`2 |P and T| / (|P| + |T|)` of one image's foreground (Dice 1945); NaN where the true mask is empty.

    Examples:
        >>> round(dice([[1, 1, 0]], [[0, 1, 0]]), 3)
        0.667
    """
    return float(dice_foreground(mask_areas(predicted, true)[None]))


def dice_per_image(areas: ArrayLike) -> NDArray[np.float64]:
    """Foreground Dice of each image, `[N]`, from areas `[N, 4]`; NaN where the true mask is empty or missing.

    Examples:
        >>> dice_per_image([[1, 2, 1, 9], [0, 3, 0, 9]]).round(3).tolist()
        [0.667, nan]
    """
    overlap, predicted, true, _ = np.asarray(areas, dtype=np.float64).T
    return np.where(true > 0, 2 * overlap / np.maximum(predicted + true, 1), np.nan)


def dice_foreground(areas: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The project's own definition: mean foreground Dice over the images that have the structure.

    Args:
        areas: `[N, 4]` of `mask_areas`.
        weights: `[N]` or `[N, R]`.

    Returns:
        `[]` or `[R]`; NaN where no image has the structure.

    Examples:
        >>> float(dice_foreground([[1, 2, 2, 9], [0, 3, 0, 9]]))
        0.5
    """
    return image_mean(dice_per_image(areas), weights)


def dice_empty_is_one(areas: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The GLoRIA and MGCA tables: all images; without a true mask, 1 if nothing was predicted and 0 otherwise.

    Departure: they average the means of batches, which depends on the batch size; this is the mean over images.

    Examples:
        >>> float(dice_empty_is_one([[1, 2, 2, 9], [0, 0, 0, 9], [0, 3, 0, 9]]))
        0.5
    """
    overlap, predicted, true, _ = np.asarray(areas, dtype=np.float64).T
    either = predicted + true
    return image_mean(np.where(either > 0, 2 * overlap / np.maximum(either, 1), 1.0), weights)


def dice_with_background(areas: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The BenchX tables (mDice of mmsegmentation): areas summed over all images, mean of foreground and background.

    The background is easy and weighs one half, which is why these values are so high.

    Examples:
        >>> round(float(dice_with_background([[1, 2, 2, 10], [0, 3, 0, 10]])), 3)
        0.567
    """
    areas_ = np.asarray(areas, dtype=np.float64)
    weights_ = np.ones(len(areas_)) if weights is None else np.asarray(weights, dtype=np.float64)
    overlap, predicted, true, pixels = (areas_.T @ weights_)[:4]
    foreground = _ratio(2 * overlap, predicted + true)
    background = _ratio(2 * (pixels - predicted - true + overlap), 2 * pixels - predicted - true)
    return (foreground + background) / 2


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.full(np.shape(bottom), np.nan), where=bottom > 0)[()]
