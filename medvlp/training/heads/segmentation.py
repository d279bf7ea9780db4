"""Segmentation: a decoder on the feature maps of the encoder, trained on the masks of a store, measured by Dice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor, nn

from medvlp.data.batch import Batch
from medvlp.data.store import Store
from medvlp.methods.base import Options
from medvlp.metrics import dice_foreground
from medvlp.models import ImageEncoder, SegmentationNet
from medvlp.objectives import NOT_ANNOTATED, pixel_bce, soft_dice
from medvlp.training.heads import heads
from medvlp.training.heads.base import Head, image_batches
from medvlp.training.recipe_errors import RecipeError

THRESHOLD = 0.5  # never fitted


class SegmentationOptions(Options):
    """Settings of the segmentation head.

    Attributes:
        structures: names of masks of the store, in the order of the model's outputs.
        decoder: of segmentation-models-pytorch; see `medvlp.models.SegmentationNet`.
        width: channels of the decoder's finest level.
        dice_weight: the loss is `dice_weight` x soft Dice + (1 - `dice_weight`) x pixel cross-entropy.
    """

    structures: tuple[str, ...] = Field(min_length=1)
    decoder: str = "unet"
    width: int = Field(default=16, ge=4)
    dice_weight: float = Field(default=0.5, ge=0, le=1)

    @field_validator("structures")
    @classmethod
    def _names_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"structures names one twice: {', '.join(names)}")
        return names


@heads.register("segmentation")
class SegmentationHead(Head):
    """`SegmentationNet` on the masks of a store."""

    Options: ClassVar[type[Options]] = SegmentationOptions
    kind: ClassVar[str] = "segmentation"
    metric = "dice"
    model: SegmentationNet

    def __init__(self, encoder: ImageEncoder, options: SegmentationOptions, *args: Any, **settings: Any) -> None:
        self.structures = options.structures
        super().__init__(encoder, options, *args, **settings)
        if not _any_pixel(self.store, self.validation_rows, options.structures):
            raise RecipeError(
                f"data.validate_split: none of the {self.validation_images} validation masks marks a pixel, so Dice "
                "cannot rank models. Choose another split, or other options.structures."
            )

    @classmethod
    def network(cls, encoder: ImageEncoder, options: SegmentationOptions) -> SegmentationNet:
        if not hasattr(encoder, "pyramid_channels"):
            raise RecipeError(
                f"encoder: a decoder reads `trunk`, `levels`, `pyramid_channels`, `pyramid_strides` of its encoder; "
                f"{type(encoder).__name__} has none, timm's networks do"
            )
        return SegmentationNet(encoder, options.decoder, len(options.structures), options.width)

    @classmethod
    def outputs(cls, options: SegmentationOptions) -> tuple[str, ...]:
        return options.structures

    def labeled_rows(self, split: str) -> NDArray[np.int64]:
        return mask_rows(self.store, self.structures, split, self.recipe.data.views)

    def encoder_part(self) -> nn.Module:
        return self.model.trunk

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.masks is not None  # the loader was asked for them
        logits, weight = self.model(batch.images), self.options.dice_weight
        terms = {"dice_loss": (weight, soft_dice), "bce_loss": (1 - weight, pixel_bce)}
        return {name: w * loss(logits, batch.masks) for name, (w, loss) in terms.items() if w}

    def measure(self, fabric: Fabric) -> dict[str, float]:
        areas = row_areas(lambda x: self.model(x).sigmoid(), self.structures, self.store, self.validation_rows)
        return {"dice": mean_dice(areas)}


def mask_rows(
    store: Store, structures: Sequence[str], split: str, views: Sequence[str] | None = None
) -> NDArray[np.int64]:
    """Rows of a split that have a mask of at least one of the structures.

    Raises:
        RecipeError: the store has no such mask, or the split has no row with one.
    """
    unknown = [name for name in structures if name not in store.mask_names]
    if unknown:
        has = ", ".join(store.mask_names) or "no masks at all"
        raise RecipeError(f"{store.path} has no mask {', '.join(map(repr, unknown))}; it has {has}")
    rows = store.rows(split, views)
    rows = rows[store.has_masks[rows]]
    channels = [store.mask_names.index(name) for name in structures]
    drawn = [bool((store.masks([r])[0, channels, 0, 0] != NOT_ANNOTATED).any()) for r in rows]
    if not any(drawn):
        raise RecipeError(f"{store.path} has no image with a mask of {', '.join(structures)} in the split {split!r}")
    return rows[np.array(drawn)]


@torch.no_grad()
def row_areas(
    probabilities: Callable[[Tensor], Tensor],
    structures: Sequence[str],
    store: Store,
    rows: NDArray[np.integer],
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.int64]:
    """Areas in pixels of the prepared images, `[len(rows), K, 4]` as in `metrics.mask_areas`; -1 where none was drawn.

    Only these few numbers are kept of each batch, so that a large split takes no memory.

    Args:
        probabilities: normalized images `[B, 1, H, W]` -> `[B, K, H, W]`, a channel for each of the structures.
        structures: names of masks of the store.
        device: where the images are wanted.
        progress: called with images done and images in all.
    """
    channels, parts, done = [store.mask_names.index(name) for name in structures], [], 0
    for chosen, images in image_batches(store, rows, torch.device(device), batch_size):
        true = torch.from_numpy(np.ascontiguousarray(store.masks(chosen)[:, channels])).to(device)
        parts.append(_areas(probabilities(images) >= THRESHOLD, true).cpu().numpy())
        done += len(chosen)
        if progress:
            progress(done, len(rows))
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
    drawn = true[:, :, 0, 0] != NOT_ANNOTATED
    return areas.masked_fill(~drawn[..., None], -1)


def _any_pixel(store: Store, rows: NDArray[np.integer], structures: Sequence[str]) -> bool:
    channels = [store.mask_names.index(name) for name in structures]
    return any(bool((store.masks([row])[0, channels] == 1).any()) for row in rows)
