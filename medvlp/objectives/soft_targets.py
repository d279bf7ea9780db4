"""Soft targets and a loss on them: pairs that are similar are not plain negatives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32, cosines
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.reports.states import FindingState


@torch.no_grad()
def self_similarity(features: Tensor, counts: Tensor, ranks: Ranks = ONE_RANK) -> Tensor:
    """Cosines `[n, N]` of this rank's features with those of all ranks, after subtracting their mean.

    Features of one domain are nearly parallel (all are chests), and their common part says nothing of similarity.

    Args:
        features: `[n, D]`; no gradient is taken. valid: bool `[n]`, rows that enter the mean.
        ranks: of a distributed run.

    Examples:
        >>> self_similarity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.ones(2).bool())
        tensor([[ 1., -1.],
                [-1.,  1.]])
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
    alpha: float = 0.2,
    relations: float = 1.0,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Divergence of a contrast from softened targets, over all columns and over the negatives alone.

        p_i. = (1 - a) 1_i + a softmax_j(g_ij)           q_i. = softmax_j(l_ij)
        L    = mean_i [ KL(p_i. || q_i.) + r KL(p*_i. || q*_i.) ]

    where p* = softmax(g) and q* = softmax(l) over the columns that are not the row's own. SoftCLIP (Gao et al., AAAI
    2024): since the own column still dominates p, the negatives are disentangled, so that their relations are learned
    too. A divergence instead of a cross-entropy: it is 0 where the prediction is the target.

    Args:
        logits: l, `[n, N]`, images against texts or the reverse. guide: g, `[n, N]`, scaled similarity of the row's
            modality with itself; no gradient is taken.
        own: bool `[n, N]`, True at a row's own column. valid: bool `[n, N]`, pairs that count.
        alpha: a. relations: r.
        ranks: of a distributed run; rows are this rank's, and both directions of a contrast are rows of one call each.

    Returns:
        a scalar in at least float32; 0 where nothing is valid.

    Examples:
        >>> own = torch.eye(2).bool()
        >>> soft_contrast(torch.zeros(2, 2), torch.zeros(2, 2), own, torch.ones(2, 2).bool(), alpha=1.0)
        tensor(0.)
    """
    logits, guide = at_least_float32(logits), at_least_float32(guide).detach()
    others = valid & ~own
    target = alpha * _softmax(guide, valid).exp() + (1 - alpha) * own.to(logits.dtype)
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


def signed_labels(states: Tensor) -> Tensor:
    """Four states int8 `[..., F]` -> float32 `[..., F]`: 1 present, -1 absent, 0 where nothing is known.

    Examples:
        >>> signed_labels(torch.tensor([1, 0, -1, 2]))
        tensor([ 1., -1.,  0.,  0.])
    """
    return (states == FindingState.PRESENT).float() - (states == FindingState.ABSENT).float()


def label_affinity(images: Tensor, texts: Tensor, temperature: float = 1.0) -> Tensor:
    """Target `[N, M]` for `info_nce`: large where labels agree, small where they differ.

        T_ij = exp((cos(y_i, y_j) - 1) / tau)        so that T_ij / sum_j T_ij = softmax_j(cos(y_i, y_j) / tau)

    The semantic matching target of MedCLIP (Wang, Wu, Agarwal, Sun, EMNLP 2022), in both directions at once: rows and
    columns are normalized by the loss. Its code takes the product of the labels, which grows with their number, and
    no temperature; the paper has the cosine. Rows of zeros are uniform: leave them out by `valid`.

    Args:
        images: y_i, `[N, F]`, see `signed_labels`. texts: y_j, `[M, F]`.
        temperature: tau, at least 0.02 in float32; towards 0 the mass goes to the most similar texts.

    Raises:
        ValueError: a temperature that float32 cannot hold.

    Examples:
        >>> labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> label_affinity(labels, labels)
        tensor([[1.0000, 0.3679],
                [0.3679, 1.0000]])
    """
    if temperature < 0.02:
        raise ValueError(f"temperature={temperature}: exp(-2 / temperature) is 0 in float32; take 0.02 or more")
    agreement = cosines(F.normalize(images, dim=1), F.normalize(texts, dim=1))
    return torch.exp((agreement - 1) / temperature)


def momentum_target(similarity: Tensor, target: Tensor, alpha: float) -> Tensor:
    """Soft target `[N, M]` from a momentum encoder: `a softmax(similarity) + (1 - a) target` (ALBEF, Li et al. 2021).

    Args:
        similarity: `[N, M]`, logits of the momentum encoder; no gradient is taken.
        target: `[N, M]`; its rows are normalized to sum to 1.
        alpha: a; 0 gives the target.

    Examples:
        >>> momentum_target(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), alpha=0.4)
        tensor([[0.8000, 0.2000]])
    """
    own = target / target.sum(1, keepdim=True).clamp_min(torch.finfo(similarity.dtype).tiny)
    return alpha * similarity.detach().softmax(1) + (1 - alpha) * own
