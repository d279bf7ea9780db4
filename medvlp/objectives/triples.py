"""Triples (finding, place, state) as a tensor, and the contrasts that read them: MedKLIP, MAVL, MeDSLIP."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32, cosines, without_autocast
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.reports.states import FindingState


def triple_tensor(image: Tensor, finding: Tensor, place: Tensor, state: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Triples of a batch -> states int8 `[B, F, P]`: present beats absent, which beats unmentioned.

    An uncertain triple leaves its entry as it is, as in the triples of RadGraph that MedKLIP and MeDSLIP train on.

    Args:
        image, finding, place: int64 `[N]`, indices. state: int8 `[N]`, four states.
        shape: (B, F, P).
    """
    images, findings, places = shape
    flat = torch.full((images * findings * places,), int(FindingState.UNMENTIONED), device=state.device)
    index = (image * findings + finding) * places + place
    known = torch.where(state == FindingState.UNCERTAIN, int(FindingState.UNMENTIONED), state.long())
    return flat.scatter_reduce(0, index, known, "amax").view(shape).to(torch.int8)


def over_places(triples: Tensor) -> Tensor:
    """States of findings `[B, F]`: present where the finding is anywhere, absent where it is denied and nowhere."""
    return _strongest(triples, 2)


def over_findings(triples: Tensor) -> Tensor:
    """States of places `[B, P]`: whether anything is there."""
    return _strongest(triples, 1)


def _strongest(states: Tensor, dim: int) -> Tensor:
    """Present beats uncertain, which beats absent and unmentioned: their codes but with the first two exchanged."""
    ranked = torch.where(states > 0, 3 - states, states).amax(dim)
    return torch.where(ranked > 0, 3 - ranked, ranked)


def relation_prototypes(positive: Tensor, book: Tensor) -> Tensor:
    """Mean of the book rows that each row of `positive` marks; zero where it marks none, which must then be masked.

    The prototype of finding e on image b is the mean of its places' texts, and that of a place the mean of its
    findings' texts (MeDSLIP, Fan et al. 2024).

    Args:
        positive: bool `[..., L]`. book: `[L, D]`.

    Returns:
        `[..., D]`.
    """
    weight = positive.to(book.dtype)
    with without_autocast(book):  # a prototype is compared with the rows themselves
        return weight @ book / weight.sum(-1, keepdim=True).clamp_min(1)


def sample_negatives(positive: Tensor, k: int) -> Tensor:
    """k indices `[..., k]` for each row of `positive` `[..., L]`, uniformly among what is not positive, none twice.

    A row with fewer than k negatives fills up with positives: give its remaining slots no weight. k is at most L.
    """
    return torch.rand(positive.shape, device=positive.device).masked_fill(positive, -1.0).topk(k, dim=-1).indices


def one_against_some(query: Tensor, right: Tensor, wrong: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of the right candidate against k wrong ones, averaged over valid queries.

        L = mean_n [ log(exp(q_n r_n) + sum_k exp(q_n w_nk)) - q_n r_n ]

    MedKLIP's L_CL and MeDSLIP's ProtoCL; neither normalizes nor scales, so scale `query` if you want to. With a zero
    query it is log(1 + k).

    Args:
        query: `[..., D]`. right: `[..., D]`. wrong: `[..., k, D]`. valid: bool `[...]`.
    """
    counts = valid[..., None]
    query, right = (at_least_float32(x).masked_fill(~counts, 0.0) for x in (query, right))
    wrong = at_least_float32(wrong).masked_fill(~counts[..., None], 0.0)
    good = (query * right).sum(-1)
    bad = cosines(query[..., None, :], wrong)[..., 0, :]  # of vectors of any length
    loss = torch.cat([good[..., None], bad], dim=-1).logsumexp(-1) - good
    return (loss * valid).sum() / valid.sum().clamp_min(1)


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
        draw: draw the k at random, as the papers do. False takes all, with the weight of k of them, so that a figure of
            validation does not depend on chance.
        ranks: of a distributed run; the mean is then over the findings of all ranks.

    Returns:
        a scalar in at least float32; 0 where no finding has a place.
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
    of_place = torch.logaddexp(scores, wrong[..., None]) - scores
    loss = (of_place * true).sum(-1) / true.sum(-1).clamp_min(1)
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
    if sample:
        drawn = torch.zeros_like(others).scatter(-1, sample_negatives(~others, wanted), True)
        log_weight = torch.zeros_like(wrong)
        others = others & drawn
    else:
        log_weight = (count.clamp_max(wanted) / count.clamp_min(1)).to(wrong).clamp_min(1e-6).log()
    wrong = (wrong + log_weight).masked_fill(~others, torch.finfo(wrong.dtype).min)
    loss = torch.cat([right[..., None], wrong], dim=-1).logsumexp(-1) - right
    return (loss * valid).sum() / mean_over_ranks(valid.sum().to(loss.dtype), ranks).clamp_min(1e-6)
