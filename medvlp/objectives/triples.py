"""Triples (finding, place, state) as a tensor, and the contrasts that read them: MedKLIP, MAVL, MeDSLIP."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32, cosines, without_autocast
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.reports.states import FindingState


def over_findings(triples: Tensor) -> Tensor:
    """States of finding and place `[B, F, P]` -> states of places `[B, P]`: whether anything is there.

    Present beats uncertain, which beats absent and unmentioned.

    Examples:
        >>> over_findings(torch.tensor([[[1, -1], [0, -1]]]))
        tensor([[ 1, -1]])
    """
    ranked = torch.where(triples > 0, 3 - triples, triples).amax(1)  # the codes of the first two exchanged
    return torch.where(ranked > 0, 3 - ranked, ranked)


def relation_prototypes(positive: Tensor, book: Tensor) -> Tensor:
    """Mean of the book rows that each row of `positive` marks; zero where it marks none, which must then be masked.

    The prototype of finding e on image b is the mean of its places' texts, and that of a place the mean of its
    findings' texts (MeDSLIP, Fan et al. 2024).

    Args:
        positive: bool `[..., L]`. book: `[L, D]`.

    Returns:
        `[..., D]`.

    Examples:
        >>> relation_prototypes(torch.tensor([[True, True, False]]), torch.eye(3))
        tensor([[0.5000, 0.5000, 0.0000]])
    """
    weight = positive.to(book.dtype)
    with without_autocast(book):  # a prototype is compared with the rows themselves
        return weight @ book / weight.sum(-1, keepdim=True).clamp_min(1)


def sample_negatives(positive: Tensor, k: int) -> Tensor:
    """k distinct indices `[..., k]` for each row of `positive` `[..., L]`, uniformly among those not positive.

    A row with fewer than k negatives fills up with positives: give its remaining slots no weight. k is at most L.

    Examples:
        >>> sample_negatives(torch.tensor([[True, False, False]]), 2).sort().values
        tensor([[1, 2]])
    """
    return torch.rand(positive.shape, device=positive.device).masked_fill(positive, -1.0).topk(k, dim=-1).indices


def place_contrast(
    scores: Tensor, places: Tensor, negatives: int = 7, sample: bool = True, ranks: Ranks = ONE_RANK
) -> Tensor:
    """Cross-entropy of a true place against k that are not, averaged over findings that have a place.

        L = mean_be mean_{p true} [ log(exp(s_bep) + sum_{j in N_be} exp(s_bej)) - s_bep ],     N_be: k other places

    L_CL of MedKLIP (Wu et al., ICCV 2023) and MAVL (Phan et al., CVPR 2024). As there, a place that is not mentioned
    may be drawn as wrong. Departures: where a finding has several places, they draw one, and here is the mean over all,
    which is what the draw gives on average; and a place in doubt is neither right nor wrong. Their candidates
    `[B, F, k + 1, D]` are never gathered: all places are scored in one product. Equal scores cost log(k + 1).

    Args:
        scores: s, `[B, F, L]`. Its first P columns are the places; others (MAVL's "It is not present.") are always
            wrong.
        places: int8 `[B, F, P]`, four states.
        negatives: k. A finding with fewer other places is compared with those.
        sample: draw the k at random, as the papers do. False takes all, with the weight of k of them, so that a figure
            of validation does not depend on chance.
        ranks: of a distributed run; the mean is then over the findings of all ranks.

    Returns:
        a scalar in at least float32; 0 where no finding has a place.

    Examples:
        >>> places = torch.tensor([[[1, -1, -1, -1]]], dtype=torch.int8)
        >>> place_contrast(torch.zeros(1, 1, 4), places, negatives=3)  # log 4
        tensor(1.3863)
    """
    scores, negatives = at_least_float32(scores), min(negatives, scores.shape[-1])
    places = F.pad(places, (0, scores.shape[-1] - places.shape[-1]), value=FindingState.UNMENTIONED)
    true = places == FindingState.PRESENT
    others = ~true & (places != FindingState.UNCERTAIN)
    count = others.sum(-1).clamp_min(1)
    scores = scores.masked_fill(~(true | others) | ~true.any(-1, keepdim=True), 0.0)
    if sample:
        others = others & torch.zeros_like(others).scatter(-1, sample_negatives(~others, negatives), True)
    wrong = scores.masked_fill(~others, torch.finfo(scores.dtype).min).logsumexp(-1)
    if not sample:
        wrong = wrong + (negatives / count).clamp_max(1).log()
    per_place = torch.logaddexp(scores, wrong[..., None]) - scores
    loss = (per_place * true).sum(-1) / true.sum(-1).clamp_min(1)
    found = true.any(-1).to(loss.dtype).sum()
    return loss.sum() / mean_over_ranks(found, ranks).clamp_min(1e-6)


def prototypical_contrast(
    queries: Tensor,
    states: Tensor,
    book: Tensor,
    negatives: int = 7,
    sample: bool = True,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """The feature of a finding is nearer to the mean text of its places than to other places (ProtoCL).

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
        sample: draw the k at random, as in the paper. False takes all, with the weight of k of them, so that a
            validation figure does not depend on chance.
        ranks: of a distributed run; the mean is then over the queries of all ranks.

    Examples:
        >>> states = torch.tensor([[1, -1, -1, -1]], dtype=torch.int8)
        >>> prototypical_contrast(torch.zeros(1, 5), states, torch.ones(4, 5), negatives=3)  # log 4
        tensor(1.3863)
    """
    positive = states == FindingState.PRESENT
    valid = positive.any(-1)
    queries, book = at_least_float32(queries).masked_fill(~valid[..., None], 0.0), at_least_float32(book)
    right = (queries * relation_prototypes(positive, book)).sum(-1)
    wrong = cosines(queries, book)  # [..., L]; of rows of any length
    others = ~positive & (states != FindingState.UNCERTAIN)
    count = others.sum(-1, keepdim=True)
    k = min(negatives, len(book))
    if sample:
        drawn = torch.zeros_like(others).scatter(-1, sample_negatives(~others, k), True)
        log_weight = torch.zeros_like(wrong)
        others = others & drawn
    else:
        log_weight = (count.clamp_max(k) / count.clamp_min(1)).to(wrong).clamp_min(1e-6).log()
    wrong = (wrong + log_weight).masked_fill(~others, torch.finfo(wrong.dtype).min)
    loss = torch.cat([right[..., None], wrong], dim=-1).logsumexp(-1) - right
    return (loss * valid).sum() / mean_over_ranks(valid.sum().to(loss.dtype), ranks).clamp_min(1e-6)
