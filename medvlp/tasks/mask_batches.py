"""Images with their masks in batches; order and augmentation depend on (seed, epoch, step) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medvlp.data.augment import Augment
from medvlp.data.prefetch import prefetch
from medvlp.data.store import Store
from medvlp.tasks.inference import TaskError

_AHEAD = 2


class MaskBatches:
    """Training batches of the rows that have a mask.

    Args:
        store: prepared images and masks.
        rows: positions in its table.
        structures: names of masks, the channels of what comes out.
        batch_size: reduced where there are fewer rows.
        seed: of order and augmentation.
        augment: move and tone the images.
    """

    def __init__(
        self,
        store: Store,
        rows: NDArray[np.integer],
        structures: Sequence[str],
        batch_size: int,
        seed: int,
        augment: bool = True,
    ) -> None:
        self.store, self.rows, self.seed = store, rows, seed
        self.channels = [store.mask_names.index(name) for name in structures]
        self.batch_size = min(batch_size, len(rows))
        self.augment = Augment() if augment else None

    def __len__(self) -> int:
        """Batches of an epoch; the last incomplete one is left out."""
        return len(self.rows) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalized images `[B, 1, H, W]` and masks uint8 `[B, K, H, W]`, made ahead in threads."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        return prefetch(lambda step: self._batch(order, epoch, step), range(len(self)), _AHEAD, _AHEAD, "masks")

    def _batch(self, order: NDArray[np.integer], epoch: int, step: int) -> tuple[Tensor, Tensor]:
        rows = order[step * self.batch_size : (step + 1) * self.batch_size]
        pixels = self.store.images(rows)
        masks = np.ascontiguousarray(self.store.masks(rows)[:, self.channels])
        if self.augment is None:
            return self.store.preprocess.normalize(torch.from_numpy(pixels)), torch.from_numpy(masks)
        drawn = self.augment.draw(len(rows), np.random.default_rng([self.seed, epoch, step]))
        return self.store.preprocess.normalize(drawn.images(pixels)), drawn.masks(masks)


def mask_rows(
    store: Store, structures: Sequence[str], split: str, views: Sequence[str] | None = None
) -> NDArray[np.int64]:
    """Rows of a split that have a mask of at least one of the structures.

    Raises:
        TaskError: the store has no such mask, or the split has no row with one.
    """
    unknown = [name for name in structures if name not in store.mask_names]
    if unknown:
        has = ", ".join(store.mask_names) or "no masks at all"
        raise TaskError(f"{store.path} has no mask {', '.join(map(repr, unknown))}; it has {has}")
    rows = store.rows(split, views)
    rows = rows[store.has_masks[rows]]
    channels = [store.mask_names.index(name) for name in structures]
    drawn = [bool((store.masks([r])[0, channels, 0, 0] != 255).any()) for r in rows]
    if not any(drawn):
        raise TaskError(f"{store.path} has no image with a mask of {', '.join(structures)} in the split {split!r}")
    return rows[np.array(drawn)]
