"""Prototypical contrast between a stream of answers and the book of the other stream (ProtoCL of MeDSLIP)."""

from __future__ import annotations

import torch
from torch import Tensor

from medvlp.models.precision import at_least_float32, cosines
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.objectives.triples import relation_prototypes, sample_negatives
from medvlp.reports.states import FindingState


def prototype_contrast(
    queries: Tensor,
    states: Tensor,
    book: Tensor,
    negatives: int = 7,
    draw: bool = True,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """What a finding looks like on an image is nearer to the mean text of its places than to other places.

        p_n = mean of the rows K_j with j present
        L   = mean_n [ log(exp(u_n p_n) + sum_{j in N_n} exp(u_n K_j)) - u_n p_n ],     N_n: k other rows

    over the queries with a present row. MeDSLIP (Fan et al., arXiv 2403.10635); the other way round it compares a
    place with the mean text of the findings that are there. As in the paper, a row that is not mentioned may be drawn
    as wrong; one that is in doubt is neither right nor wrong, which is a departure. All products with the book are made
    once, `[..., L]`: the k candidates of each query `[..., k, D]` are never gathered. A zero query costs log(1 + k).

    Args:
        queries: u, `[..., D]`, not normalized.
        states: int8 `[..., L]`, four states of each query at each row of the book.
        book: K, `[L, D]`.
        negatives: k. A query with fewer other rows is compared with those.
        draw: draw the k at random, as the paper does. False takes all, with the weight of k of them, so that a figure
            of validation does not depend on chance.
        ranks: of a distributed run; the mean is then over the queries of all ranks.
    """
    positive = states == FindingState.PRESENT
    valid = positive.any(-1)
    queries, book = at_least_float32(queries).masked_fill(~valid[..., None], 0.0), at_least_float32(book)
    right = (queries * relation_prototypes(positive, book)).sum(-1)
    wrong = cosines(queries, book)  # [..., L]; of rows of any length
    others = ~positive & (states != FindingState.UNCERTAIN)
    count = others.sum(-1, keepdim=True)
    wanted = min(negatives, len(book))
    if draw:
        drawn = torch.zeros_like(others).scatter(-1, sample_negatives(~others, wanted), True)
        log_weight = torch.zeros_like(wrong)
        others = others & drawn
    else:
        log_weight = (count.clamp_max(wanted) / count.clamp_min(1)).to(wrong).clamp_min(1e-6).log()
    wrong = (wrong + log_weight).masked_fill(~others, torch.finfo(wrong.dtype).min)
    loss = torch.cat([right[..., None], wrong], dim=-1).logsumexp(-1) - right
    return (loss * valid).sum() / mean_over_ranks(valid.sum().to(loss.dtype), ranks).clamp_min(1e-6)
