"""The patches that fit a text best: how well they fit in any image, and what they are in its own."""

from __future__ import annotations

import torch
from torch import Tensor

from medvlp.models.precision import at_least_float32, cosines


def top_patch_similarity(patches: Tensor, texts: Tensor, k: int = 1) -> Tensor:
    """Mean `[B, N]` of the k largest products of a text with the patches of each image.

        S_bn = 1/k sum of the k largest <p_b1, t_n>, ..., <p_bP, t_n>

    With k = 1 and means over the tokens of concepts (`span_mean`) as texts it is the patch-concept similarity of
    ConceptCLIP's PC-Align (Nie et al. 2025), for `sigmoid_contrast`; with k = P it is the product with the mean patch.

    Args:
        patches: `[B, P, D]`. texts: `[N, D]`. Unit vectors make cosines of the products.
        k: at most P counts; more is taken as P.

    Returns:
        `[B, N]` in at least float32. The gradient reaches the chosen patches alone, whose places are all that is kept.
    """
    return cosines(texts, patches).topk(min(k, patches.shape[1]), dim=2).values.mean(2)


def top_patch_mean(patches: Tensor, texts: Tensor, k: int) -> Tensor:
    """Mean `[B, S, D]` of the k patches of its own image that fit each text best (SimCroP, MICCAI 2025: a
    reconstruction, since its pre-training code was not published).

    The choice has no gradient, and the patches that were chosen have one. Early choices are noise and confirm
    themselves; begin with a large k, or with soft attention.

    Args:
        patches: `[B, P, D]`. texts: `[B, S, D]`, S of each image. Unit vectors make cosines of the products.
        k: at most P counts; more is taken as P.
    """
    chosen = cosines(texts, patches).topk(min(k, patches.shape[1]), dim=2).indices  # [B, S, k]
    image = torch.arange(len(patches), device=patches.device)[:, None, None]
    return at_least_float32(patches)[image, chosen].mean(2)
