"""Patch dropping of FLIP: a transformer sees a part of its patches in training, and those have no grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from timm.layers import PatchDropout
from timm.models.vision_transformer import VisionTransformer


class PatchesDroppedError(RuntimeError):
    """Something asked where the patches of an image are whose patches were dropped."""


class _NoPlaces:
    """Raises whatever is asked of it, so that nobody takes the kept patches for a grid."""

    def _refuse(self, *_: object) -> NoReturn:
        raise PatchesDroppedError(
            "patches were dropped, and those that are left have no grid and no feature maps (another part of each "
            "image is left); set image_encoder.patch_dropping to 0 for what needs the place of a patch"
        )

    __len__ = __iter__ = __getitem__ = __bool__ = _refuse


class NoGrid(_NoPlaces, tuple):
    """The `grid` of `ImageFeatures` whose patches were dropped."""


class NoMaps(_NoPlaces, list):
    """The `pyramid` of `ImageFeatures` whose patches were dropped."""


def check_droppable(name: str, trunk: Any) -> None:
    """Refuse a network that cannot do without some of its patches.

    Raises:
        ValueError: it is no plain vision transformer of timm.
    """
    if not isinstance(trunk, VisionTransformer):
        raise ValueError(
            f"image_encoder.patch_dropping: {name} needs all of its patches (its layers read neighbours); use a vision "
            "transformer such as vit_small_patch16_224, or set patch_dropping to 0"
        )


@contextmanager
def patches_dropped(trunk: VisionTransformer, rate: float) -> Iterator[None]:
    """Inside the block the trunk drops a random part of the patches of each image, once they have their position code.

    FLIP (Li et al., CVPR 2023): at 50 % the blocks have half of the work. The class token is kept. Outside the block
    the trunk is as timm made it, for those who use it without its encoder (`SegmentationNet`).

    Args:
        trunk: a transformer. rate: share of the patches that is dropped, at least 0 and below 1.
    """
    whole = trunk.patch_drop
    trunk.patch_drop = PatchDropout(rate, num_prefix_tokens=trunk.num_prefix_tokens)
    try:
        yield
    finally:
        trunk.patch_drop = whole
