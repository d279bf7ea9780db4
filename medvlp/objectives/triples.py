"""Triples (finding, place, existence): as a tensor of states, with prototypes and negatives drawn without a loop."""

from __future__ import annotations

import torch
from torch import Tensor

from medvlp.models.precision import at_least_float32, cosines, without_autocast
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
