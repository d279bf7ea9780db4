"""`ImageFeatures` and `TextFeatures`: what encoders return. 2D and 3D share them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
