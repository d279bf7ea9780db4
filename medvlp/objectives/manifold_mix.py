"""Mixing features where a sentence points: the image half of MedCutMix."""

from __future__ import annotations

import torch
from torch import Tensor

from medvlp.models.precision import cosines


@torch.no_grad()
def attention_region(sentences: Tensor, patches: Tensor, sharpness: float | Tensor = 10.0) -> Tensor:
    """Where each sentence points in its image: `[B, P]` between 0 and 1, with 1 at the place that fits best.

        a_bp = softmax_p(k <s_b, p_bp>)      M_bp = (a_bp - min a_b) / (max a_b - min a_b)

    MedCutMix (Wang et al., arXiv 2509.16673), as reconstructed. No gradient is taken. Where all patches fit alike
    nothing is pointed at, and M is 0.

    Args:
        sentences: s, unit vectors `[B, D]`. patches: p, unit vectors `[B, P, D]`. sharpness: k.
    """
    attention = (sharpness * cosines(sentences[:, None], patches)[:, 0]).softmax(1)
    least, most = attention.amin(1, keepdim=True), attention.amax(1, keepdim=True)
    gap = most - least
    return torch.where(gap > 1e-6 * most, (attention - least) / gap.clamp_min(torch.finfo(gap.dtype).tiny), 0.0)


def manifold_mix(mine: Tensor, theirs: Tensor, share: Tensor) -> Tensor:
    """`Z_i (1 - g) + Z_j g`, place by place.

    Args:
        mine, theirs: features `[B, ..., D]` at the same places of both images. share: g, `[B, ...]` between 0 and 1.
    """
    return torch.lerp(mine, theirs, share[..., None].to(mine.dtype))
