"""Losses on the shape of a feature space, without negatives: pull pairs together, keep dimensions apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.objectives.precision import at_least_float32, without_autocast


def pair_alignment(first: Tensor, second: Tensor) -> Tensor:
    """`mean(4 - 4 cos)` of paired rows `[N, D]`, in [0, 8]: both directions of BYOL's loss, as M-FLAG sums them."""
    cosine = F.cosine_similarity(at_least_float32(first), at_least_float32(second), dim=-1)
    return (4 - 4 * cosine).mean()


def gram_orthogonality(features: Tensor, off_diagonal: float = 0.0051, centre: bool = False) -> Tensor:
    """Distance of the second moments of features from the identity.

        C = Z^T Z / N        L = 1/2 [ sum_i (C_ii - 1)^2 + l sum_{i != j} C_ij^2 ]

    M-FLAG (Liu et al., MICCAI 2023) takes the raw features, not centred, and l of Barlow Twins. With N < D the rank of
    C is at most N, so that the loss cannot fall below (D - N) / 2 for l = 1.

    Args:
        features: Z, `[N, D]`; N is the number of rows given, so that a smaller last batch is right too.
        off_diagonal: l. centre: subtract the mean first, which makes C a covariance.
    """
    features = at_least_float32(features)
    if centre:
        features = features - features.mean(0)
    with without_autocast(features):
        moments = features.t() @ features / len(features)
    diagonal = moments.diagonal()
    off = moments.square().sum() - diagonal.square().sum()
    return 0.5 * ((diagonal - 1).square().sum() + off_diagonal * off)


def effective_rank(features: Tensor) -> Tensor:
    """`exp` of the entropy of the normalised singular values of `[N, D]` (Roy & Vetterli 2007): 1 is a collapse."""
    values = torch.linalg.svdvals(at_least_float32(features) - at_least_float32(features).mean(0))
    share = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return torch.special.entr(share).sum().exp()
