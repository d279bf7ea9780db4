"""Soft targets from the similarity within one modality: pairs that are like each other are no plain negatives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32, cosines
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks


@torch.no_grad()
def self_similarity(features: Tensor, counts: Tensor, ranks: Ranks = ONE_RANK) -> Tensor:
    """Cosines `[n, N]` of this rank's features with those of all, after their mean is taken off.

    Features of one register point the same way (all are chests), and what they share says nothing of their likeness.

    Args:
        features: `[n, D]`; no gradient is taken. counts: bool `[n]`, rows that make the mean.
        ranks: of a distributed run.
    """
    features = at_least_float32(features)
    everything, valid = ranks.gather(features), ranks.gather(counts)
    mean = everything.masked_fill(~valid[:, None], 0.0).sum(0) / valid.sum().clamp_min(1)
    return cosines(F.normalize(features - mean, dim=1), F.normalize(everything - mean, dim=1))


def soft_contrast(
    logits: Tensor,
    guide: Tensor,
    own: Tensor,
    valid: Tensor,
    share: float = 0.2,
    relations: float = 1.0,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Divergence of a contrast from softened targets, over all columns and over the negatives alone.

        p_i. = (1 - a) 1_i + a softmax_j(g_ij)           q_i. = softmax_j(l_ij)
        L    = mean_i [ KL(p_i. || q_i.) + r KL(p*_i. || q*_i.) ]

    where p* = softmax(g) and q* = softmax(l) over the columns that are not the row's own. SoftCLIP (Gao et al., AAAI
    2024): since the own column still dominates p, the negatives are disentangled, so that their relations are learnt
    too. A divergence instead of a cross-entropy: it is 0 where the prediction is the target.

    Args:
        logits: l, `[n, N]`, images against texts or the reverse. guide: g, `[n, N]`, scaled similarity of the row's
            modality with itself; no gradient is taken.
        own: bool `[n, N]`, True at a row's own column. valid: bool `[n, N]`, pairs that count.
        share: a. relations: r.
        ranks: of a distributed run; rows are this rank's, and both directions of a contrast are rows of one call each.

    Returns:
        a scalar in at least float32; 0 where nothing is valid.
    """
    logits, guide = at_least_float32(logits), at_least_float32(guide).detach()
    others = valid & ~own
    target = share * _softmax(guide, valid).exp() + (1 - share) * own.to(logits.dtype)
    whole = _divergence(target, _softmax(logits, valid), valid)
    between = _divergence(_softmax(guide, others).exp(), _softmax(logits, others), others)
    counts = (valid & own).any(1)
    loss = (whole + relations * between) * counts
    return loss.sum() / mean_over_ranks(counts.to(loss.dtype).sum(), ranks).clamp_min(1e-6)


def _softmax(logits: Tensor, valid: Tensor) -> Tensor:
    """Logarithm of a softmax over the valid columns."""
    return logits.masked_fill(~valid, torch.finfo(logits.dtype).min).log_softmax(1)


def _divergence(target: Tensor, log_prediction: Tensor, valid: Tensor) -> Tensor:
    """KL `[n]` over the valid columns; 0 in a row without any."""
    gap = torch.xlogy(target, target) - target * log_prediction.masked_fill(~valid, 0.0)
    return gap.masked_fill(~valid, 0.0).sum(1)
