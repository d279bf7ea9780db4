"""Classification losses: binary cross-entropy on labels in four states, and the words of a report as labels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.reports.states import FindingState

Unmentioned = Literal["ignore", "negative"]
Uncertain = Literal["ignore", "absent", "present", "half"]


def labels_and_mask(
    states: Tensor,
    unmentioned: Unmentioned = "ignore",
    uncertain: Uncertain = "ignore",
    has_report: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Four states `[B, F]` -> labels in {0, 0.5, 1} and mask in {0, 1}, float32.

    Args:
        states: int8, as in `FindingState`.
        unmentioned: `ignore`, or `negative`: reports mention what is there, so that a finding left out is likely
            absent. Devices and rare findings are hardly ever denied, and have few negatives otherwise.
        uncertain: U-Ignore, U-Zeros (`absent`), U-Ones (`present`) of CheXpert (Irvin et al. 2019), or `half`.
        has_report: bool `[B]`, images that have a report: only there can an unmentioned finding be a negative. None:
            all have.

    Raises:
        ValueError: neither of the named policies.

    Examples:
        >>> states = torch.tensor([[1, 0, -1, 2]])  # present, absent, unmentioned, uncertain
        >>> labels_and_mask(states)
        (tensor([[1., 0., 0., 0.]]), tensor([[1., 1., 0., 0.]]))
        >>> labels_and_mask(states, unmentioned="negative")[1]
        tensor([[1., 1., 1., 0.]])
    """
    if unmentioned not in ("ignore", "negative") or uncertain not in ("ignore", "absent", "present", "half"):
        raise ValueError(
            f"unmentioned={unmentioned!r}, uncertain={uncertain!r}; use ignore|negative and ignore|absent|present|half"
        )
    doubtful = states == FindingState.UNCERTAIN
    label = (states == FindingState.PRESENT).float()
    mask = ((states == FindingState.PRESENT) | (states == FindingState.ABSENT)).float()
    if unmentioned == "negative":
        mask = torch.where(unmentioned_as_negative(states, has_report), 1.0, mask)
    if uncertain != "ignore":
        mask = torch.where(doubtful, 1.0, mask)
        label = torch.where(doubtful, {"absent": 0.0, "present": 1.0, "half": 0.5}[uncertain], label)
    return label, mask


def unmentioned_as_negative(states: Tensor, has_report: Tensor | None = None) -> Tensor:
    """bool `[B, F]`: unmentioned findings of images that have a report.

    Examples:
        >>> unmentioned_as_negative(torch.tensor([[1, -1], [1, -1]]), torch.tensor([True, False]))
        tensor([[False,  True],
                [False, False]])
    """
    unmentioned = states == FindingState.UNMENTIONED
    return unmentioned if has_report is None else unmentioned & has_report[:, None]


def masked_bce(
    logits: Tensor,
    states: Tensor,
    unmentioned: Unmentioned = "ignore",
    uncertain: Uncertain = "ignore",
    unmentioned_weight: float = 1.0,
    has_report: Tensor | None = None,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Mean of the binary cross-entropy over the entries that count; 0 when none does.

        L = sum_be w_be bce(l_be, y_be) / sum_be w_be

    Args:
        logits: `[B, F]`.
        states: int8 `[B, F]`, four states.
        unmentioned, uncertain, has_report: see `labels_and_mask`. The gradient at an ignored entry is exactly zero.
        unmentioned_weight: weight w of an unmentioned entry under `negative`; mentioned ones weigh 1.
        ranks: of a distributed run; the mean is then over the entries of all ranks.

    Examples:
        >>> states = torch.tensor([[1, 0, -1, 2]])
        >>> masked_bce(torch.zeros(1, 4), states)  # two entries count, each costs log 2
        tensor(0.6931)
    """
    logits = at_least_float32(logits)
    label, mask = (t.to(logits.dtype) for t in labels_and_mask(states, unmentioned, uncertain, has_report))
    logits = logits.masked_fill(mask == 0, 0.0)
    weight = torch.where(states == FindingState.UNMENTIONED, mask * unmentioned_weight, mask)
    bce = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
    return (bce * weight).sum() / mean_over_ranks(weight.sum(), ranks).clamp_min(1e-6)


def per_sample_bce(
    logits: Tensor,
    states: Tensor,
    unmentioned: Unmentioned = "ignore",
    uncertain: Uncertain = "ignore",
    has_report: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy averaged within each image first, then over images (DLILP, Silva-Rodriguez et al. 2025).

        L = mean_b [ sum_e m_be bce(l_be, y_be) / (sum_e m_be + 0.001) ]

    An image with two mentioned findings weighs as much as one with fourteen. Arguments as in `masked_bce`.

    Examples:
        >>> states = torch.tensor([[1, 0, -1], [1, -1, -1]])
        >>> per_sample_bce(torch.zeros(2, 3), states)
        tensor(0.6926)
    """
    logits = at_least_float32(logits)
    label, mask = (t.to(logits.dtype) for t in labels_and_mask(states, unmentioned, uncertain, has_report))
    bce = F.binary_cross_entropy_with_logits(logits.masked_fill(mask == 0, 0.0), label, reduction="none")
    return ((bce * mask).sum(1) / (mask.sum(1) + 1e-3)).mean()


def bag_of_words(tokens: Tensor, mask: Tensor, vocabulary: int) -> Tensor:
    """Which entries of a vocabulary a text contains, however often: float32 `[N, V]` of zeros and ones.

    Args:
        tokens: int64 `[N, T]`. mask: bool `[N, T]`, True at tokens that count. vocabulary: V.

    Examples:
        >>> bag_of_words(torch.tensor([[5, 2, 2]]), torch.tensor([[True, True, True]]), 6)
        tensor([[0., 0., 1., 0., 0., 1.]])
    """
    bag = torch.zeros(len(tokens), vocabulary, device=tokens.device)
    return bag.scatter_reduce(1, tokens, mask.to(bag.dtype), "amax")


def bag_cross_entropy(logits: Tensor, weighted: Tensor, ranks: Ranks = ONE_RANK) -> Tensor:
    """Cross-entropy of one softmax over the vocabulary with the distribution of words of each text.

        L = mean_b [ - sum_c y_bc log softmax_c(l_b)_c ],     y_bc = w_c x_bc / sum_c' w_c' x_bc'

    The loss of SuperClass (Huang et al., NeurIPS 2024). A text of n words of equal weight costs at least log n. Texts
    without any weight leave the mean.

    Args:
        logits: l, `[B, V]`. weighted: `w x`, `[B, V]`, not negative.
        ranks: of a distributed run.

    Returns:
        a scalar in at least float32; 0 where no text has weight.

    Examples:
        >>> bag_cross_entropy(torch.zeros(2, 8), torch.eye(8)[:2])  # log 8
        tensor(2.0794)
    """
    mass = weighted.sum(1)
    logits = at_least_float32(logits).masked_fill((mass == 0)[:, None], 0.0)
    counts = (mass > 0).to(logits.dtype)
    frequency = weighted / mass.clamp_min(torch.finfo(weighted.dtype).tiny)[:, None]
    loss = logits.logsumexp(1) * counts - (frequency * logits).sum(1)
    return loss.sum() / mean_over_ranks(counts.sum(), ranks).clamp_min(1e-6)
