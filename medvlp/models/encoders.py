"""What an encoder gives and how it is found: `ImageFeatures`, `TextFeatures` and the registries of encoders by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class ImageFeatures:
    """Features of B images.

    Attributes:
        global_: `[B, D]`, the pooled image, not normalized.
        patches: `[B, P, D]`, one vector a patch, row by row; not normalized.
        grid: `(h, w)` or `(d, h, w)` with `P` their product.
        pyramid: feature maps `[B, C_l, H_l, W_l]` (or 3D) from fine to coarse, for decoders.
    """

    global_: Tensor
    patches: Tensor
    grid: tuple[int, ...]
    pyramid: list[Tensor]


@dataclass
class TextFeatures:
    """Features of N texts.

    Attributes:
        global_: `[N, D]`, the pooled text, not normalized.
        tokens: `[N, T, D]`.
        mask: bool `[N, T]`, True at tokens.
    """

    global_: Tensor
    tokens: Tensor
    mask: Tensor


@contextmanager
def cached_forward(encoder: nn.Module) -> Iterator[None]:
    """Inside the block the encoder keeps the last features: asked again with the same tensor it gives them again.

    For a trained model without gradients: its weights must stay as they are. Another tensor is read anew, though it be
    equal, and so is the same one after a write in place.
    """
    forward, kept = encoder.forward, list[tuple[Tensor, int, ImageFeatures]]()

    def remembering(images: Tensor) -> ImageFeatures:
        if not kept or kept[0][0] is not images or kept[0][1] != images._version:
            kept[:] = [(images, images._version, forward(images))]
        return kept[0][2]

    encoder.forward = remembering  # type: ignore[method-assign]
    try:
        yield
    finally:
        del encoder.forward  # the class's own is seen again
