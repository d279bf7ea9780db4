"""Masks of a store's rows against the true ones, as areas, from which every definition of Dice follows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.store import Store
from medvlp.metrics import dice_foreground
from medvlp.tasks.inference import Progress
from medvlp.tasks.segmenter import Segmenter

THRESHOLD = 0.5  # never fitted


@torch.no_grad()
def row_areas(
    segmenter: Segmenter,
    store: Store,
    rows: NDArray[np.integer],
    batch_size: int = 32,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """Areas in pixels of the prepared images, `[len(rows), K, 4]` as in `metrics.mask_areas`; -1 where none was drawn.

    Only these few numbers are kept of each batch, so that a large split takes no memory.
    """
    channels = [store.mask_names.index(name) for name in segmenter.structures]
    parts = []
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        images = store.preprocess.normalize(torch.from_numpy(store.images(chosen)).to(segmenter.device))
        true = torch.from_numpy(np.ascontiguousarray(store.masks(chosen)[:, channels])).to(segmenter.device)
        parts.append(_areas(segmenter.probabilities(images) >= THRESHOLD, true).cpu().numpy())
        if progress:
            progress(start + len(chosen), len(rows))
    return np.concatenate(parts)


def mean_dice(areas: NDArray[np.int64]) -> float:
    """Mean over the structures of the mean foreground Dice; structures without any true pixel are left out."""
    each = [float(dice_foreground(areas[areas[:, k, 0] >= 0, k])) for k in range(areas.shape[1])]
    defined = [value for value in each if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _areas(predicted: Tensor, true: Tensor) -> Tensor:
    """bool and uint8 `[B, K, H, W]` -> int64 `[B, K, 4]`."""
    inside = true == 1
    counts = [predicted & inside, predicted, inside, torch.ones_like(inside)]
    areas = torch.stack([c.sum((-2, -1)) for c in counts], dim=-1)
    drawn = true[:, :, 0, 0] != 255
    return areas.masked_fill(~drawn[..., None], -1)
