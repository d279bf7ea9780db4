"""Losses without negatives: pairs are aligned, and dimensions kept orthogonal (M-FLAG)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32, without_autocast
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks


def pair_alignment(first: Tensor, second: Tensor, valid: Tensor | None = None, ranks: Ranks = ONE_RANK) -> Tensor:
    """`mean(4 - 4 cos)` of paired rows `[N, D]`, in [0, 8]: both directions of BYOL's loss, as M-FLAG sums them.

    Args:
        first, second: of any length.
        valid: bool `[N]`, pairs that enter the mean; None: all. Without any it is 0.
        ranks: of a distributed run; the mean is then over the pairs of all ranks.

    Examples:
        >>> pair_alignment(torch.eye(3), torch.eye(3)), pair_alignment(torch.eye(3), -torch.eye(3))
        (tensor(0.), tensor(8.))
    """
    if valid is not None:
        first, second = first.masked_fill(~valid[:, None], 0.0), second.masked_fill(~valid[:, None], 0.0)
    cosine = F.cosine_similarity(at_least_float32(first), at_least_float32(second), dim=-1)
    weight = torch.ones_like(cosine) if valid is None else valid.to(cosine.dtype)
    return ((4 - 4 * cosine) * weight).sum() / mean_over_ranks(weight.sum(), ranks).clamp_min(1e-6)


def gram_orthogonality(
    features: Tensor, off_diagonal: float = 0.0051, center: bool = False, valid: Tensor | None = None
) -> Tensor:
    """Distance of the second moments of features from the identity.

        C = Z^T Z / N        L = 1/2 [ sum_i (C_ii - 1)^2 + l sum_{i != j} C_ij^2 ]

    M-FLAG (Liu et al., MICCAI 2023) takes the raw features, not centered, and l of Barlow Twins. With N < D the rank of
    C is at most N, so that the loss cannot fall below (D - N) / 2 for l = 1.

    Args:
        features: Z, `[N, D]`; N is the number of rows given, so that a smaller last batch is right too. In a
            distributed run, the gathered rows of all ranks.
        off_diagonal: l. center: subtract the mean first, which makes C a covariance.
        valid: bool `[N]`, rows that enter C, and N is their number; None: all. Without any it is 0.

    Examples:
        >>> gram_orthogonality(2 * torch.eye(4)), gram_orthogonality(torch.ones(4, 4))
        (tensor(0.), tensor(0.0306))
    """
    valid = torch.ones_like(features[:, 0], dtype=torch.bool) if valid is None else valid
    features = at_least_float32(features).masked_fill(~valid[:, None], 0.0)
    weight = valid[:, None].to(features.dtype)
    number = weight.sum().clamp_min(1)
    if center:
        features = (features - features.sum(0) / number) * weight
    with without_autocast(features):
        moments = features.t() @ features / number
    diagonal = moments.diagonal()
    off = moments.square().sum() - diagonal.square().sum()
    return 0.5 * ((diagonal - 1).square().sum() + off_diagonal * off) * weight.amax()


def effective_rank(features: Tensor) -> Tensor:
    """`exp` of the entropy of the normalized singular values of `[N, D]` (Roy & Vetterli 2007): 1 is a collapse.

    Examples:
        >>> effective_rank(torch.cat([torch.eye(3), -torch.eye(3)]))
        tensor(3.)
    """
    values = torch.linalg.svdvals(at_least_float32(features) - at_least_float32(features).mean(0))
    share = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return torch.special.entr(share).sum().exp()
