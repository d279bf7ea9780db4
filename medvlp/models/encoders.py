"""What an encoder returns, `ImageFeatures` and `TextFeatures`, and the registries of encoders by name.

A new encoder is one file in this folder, or in an installed package that names it as an entry point:

    @image_encoders.register("my_tower")
    class MyTower(nn.Module):
        def __init__(self, pretrained, image_size, dim, patch_stride, patch_dropping): ...
        def forward(self, images): return ImageFeatures(...)

and a recipe says `image_encoder: {name: my_tower}`; `dim=None` leaves the width to the tower. Methods read an image
encoder's `dim` (D) and call it; those with queries or boxes use its `grid`. A text encoder has `dim`, `max_tokens`,
`frozen`, `freeze()` and `save_config(folder)`, and is called with ids and mask; see `TextEncoder`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from medvlp.registry import Registry


@dataclass
class ImageFeatures:
    """Features of B images or volumes.

    Attributes:
        global_: `[B, D]`, the pooled image, not normalized.
        patches: `[B, P, D]`, one vector a patch, row by row; not normalized.
        grid: `(h, w)` or `(d, h, w)` with `P` their product.
        pyramid: feature maps `[B, C_l, H_l, W_l]` or `[B, C_l, D_l, H_l, W_l]` from fine to coarse, for decoders.

    Examples:
        >>> import torch
        >>> volume = ImageFeatures(torch.zeros(1, 8), torch.zeros(1, 24, 8), (2, 3, 4), [])
        >>> volume.patches.unflatten(1, volume.grid).shape
        torch.Size([1, 2, 3, 4, 8])
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

    Examples:
        >>> import torch
        >>> mask = torch.tensor([[True, True, False]])
        >>> TextFeatures(torch.zeros(1, 8), torch.zeros(1, 3, 8), mask).mask.sum(1)
        tensor([2])
    """

    global_: Tensor
    tokens: Tensor
    mask: Tensor


image_encoders: Registry[Callable[..., nn.Module]] = Registry(
    "image encoder", "medvlp.models", group="medvlp.image_encoders"
)
text_encoders: Registry[Callable[..., nn.Module]] = Registry(
    "text encoder", "medvlp.models", group="medvlp.text_encoders"
)
