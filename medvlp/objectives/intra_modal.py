"""Contrast within one modality: a whole with the parts of its own other view, against the parts of others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32, cosines
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks


def global_local_contrast(
    whole: Tensor, parts: Tensor, mask: Tensor, group: Tensor, scale: Tensor | float, ranks: Ranks = ONE_RANK
) -> Tensor:
    """Each part of one's own against all parts of others.

        L = mean_b mean_p - log [ exp(s <g_b, l_bp>) / (exp(s <g_b, l_bp>) + sum_{c != b, p'} exp(s <g_b, l_cp'>)) ]

    TCL's local term (Yang et al., CVPR 2022), a bound of the information that the whole shares with each of its parts.

    Args:
        whole: g, unit vectors `[n, D]`. parts: l, unit vectors `[n, P, D]`, patches or words. mask: bool `[n, P]`; a
            row without any True leaves the mean.
        group: int64 `[n]`; the parts of an equal group are no negatives (equal reports have equal words).
        scale: s.
        ranks: of a distributed run. Wholes travel, since the number of words differs from rank to rank; of the
            negatives, a number for each whole.

    Returns:
        a scalar in at least float32; 0 where nothing counts.
    """
    rows, parts = len(whole), parts.masked_fill(~mask[..., None], 0.0)
    every_whole, every_group = ranks.gather(whole), ranks.gather(group)
    scores = scale * cosines(every_whole, parts.flatten(0, 1)).unflatten(1, mask.shape)  # [N, n, P]
    strange = (every_group[:, None] != group[None])[..., None] & mask
    of_this_rank = scores.masked_fill(~strange, torch.finfo(scores.dtype).min).flatten(1).logsumexp(1)
    negatives = ranks.gather(of_this_rank[None]).logsumexp(0).narrow(0, ranks.first_row(rows), rows)
    own = scale * (at_least_float32(whole)[:, None] * at_least_float32(parts)).sum(2)
    loss = F.softplus(negatives[:, None] - own) * mask
    count = mask.sum(1)
    counts = mean_over_ranks((count > 0).to(loss.dtype).sum(), ranks)
    return (loss.sum(1) / count.clamp_min(1)).sum() / counts.clamp_min(1e-6)
