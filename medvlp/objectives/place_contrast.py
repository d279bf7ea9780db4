"""Where is it: a finding's true places, each against some that are not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.objectives.triples import sample_negatives
from medvlp.reports.states import FindingState


def place_contrast(
    scores: Tensor, places: Tensor, negatives: int = 7, draw: bool = True, ranks: Ranks = ONE_RANK
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
    if draw:
        others = others & torch.zeros_like(others).scatter(-1, sample_negatives(~others, negatives), True)
    wrong = scores.masked_fill(~others, torch.finfo(scores.dtype).min).logsumexp(-1)
    if not draw:
        wrong = wrong + (negatives / count).clamp_max(1).log()
    of_place = torch.logaddexp(scores, wrong[..., None]) - scores
    loss = (of_place * true).sum(-1) / true.sum(-1).clamp_min(1)
    found = true.any(-1).to(loss.dtype).sum()
    return loss.sum() / mean_over_ranks(found, ranks).clamp_min(1e-6)
