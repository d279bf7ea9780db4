"""KEEP's metric loss between groups of pairs: one good positive is enough, every negative counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks, own_columns
from medvlp.reports.states import FindingState


@dataclass
class LabelGroups:
    """Which pairs of the batch belong to one group; rows are this rank's, columns those of all ranks.

    Attributes:
        same: bool `[n, N]`, pairs of one group; each row is in its own.
        valid: bool `[n, N]`, pairs that count, as positive or negative.
        anchors: bool `[n]`, rows whose group has a loss of its own; the others are negatives only.

    Examples:
        >>> pairs = torch.eye(3).bool()  # each row is a group of its own
        >>> LabelGroups(same=pairs, valid=torch.ones(3, 3).bool(), anchors=torch.ones(3).bool()).same.sum(1)
        tensor([1, 1, 1])
    """

    same: Tensor
    valid: Tensor
    anchors: Tensor


def label_groups(states: Tensor, has_report: Tensor, ancestors: Tensor, ranks: Ranks = ONE_RANK) -> LabelGroups:
    """Groups of images with the same present findings, ancestors included (normal images are one group).

    Two groups are *related* where all findings of one are among those of the other and their ancestors: pneumonia and
    lung opacity, or an effusion alone and an effusion with a large heart. A report of one is partly true of the other,
    so such pairs do not count. KEEP removes pairs of diseases of which one is an ancestor of the other; this is the
    same for images with several. An image without mentioned findings is a group of its own and no anchor; so is one
    with an uncertain finding and none present, since it may not be normal.

    Args:
        states: int8 `[n, F]`, four states. has_report: bool `[n]`; an image without report counts for nothing.
        ancestors: bool `[F, A]`, see `ancestor_matrix`.
        ranks: of a distributed run.

    Examples:
        >>> states = torch.tensor([[1, -1], [1, -1], [0, 0]])  # two images of one finding, and a normal one
        >>> label_groups(states, torch.ones(3).bool(), torch.eye(2).bool()).same
        tensor([[ True,  True, False],
                [ True,  True, False],
                [False, False,  True]])
    """
    present = (states == FindingState.PRESENT).float()
    lineage = (present @ ancestors.to(present)).clamp_max(1)
    normal = (states == FindingState.ABSENT).any(1) & ~(states == FindingState.UNCERTAIN).any(1)
    known = has_report & ((states == FindingState.PRESENT).any(1) | normal)
    every = ranks.gather(lineage)
    shared, mine, theirs = lineage @ every.t(), lineage.sum(1)[:, None], every.sum(1)[None]
    within, around = shared == mine, shared == theirs
    own = own_columns(len(states), len(every), ranks, states.device)
    same = own | (within & around & known[:, None] & ranks.gather(known)[None])
    related = (within | around) & (mine > 0) & (theirs > 0)
    valid = (same | ~related) & has_report[:, None] & ranks.gather(has_report)[None]
    return LabelGroups(same, valid, known)


def group_metric_loss(logits: Tensor, groups: LabelGroups, ranks: Ranks = ONE_RANK) -> Tensor:
    """Least-hard positives against all negatives, group by group.

        P_i  = sum_{a in i} [ sum_{b in i} exp(-S_ab) ]^-1          soft minimum over partners, soft maximum over rows
        N_ij = sum_{a in i} sum_{b in j} exp(S_ab)
        L    = -mean_i log( P_i / (P_i + sum_{j != i} N_ij) )

    KEEP (Zhou et al., Cancer Cell 2026), in log space, so that it needs no double precision. Groups of one are InfoNCE,
    and one group costs nothing. KEEP gives related groups a cosine of -1; here they leave the sums. Its batches hold
    groups of equal size; here groups are as large as they happen to be, and the mean is over groups, not rows.

    Ranks exchange two numbers a row: the logs of both sums.

    Args:
        logits: S, `[n, N]`, scaled cosines. For the other direction give texts as rows and images as columns.
        groups: see `label_groups`.
        ranks: of a distributed run.

    Returns:
        a scalar in at least float32; 0 without anchors or without negatives.

    Examples:
        >>> groups = LabelGroups(torch.eye(2).bool(), torch.ones(2, 2).bool(), torch.ones(2).bool())
        >>> group_metric_loss(torch.zeros(2, 2), groups)  # groups of one are InfoNCE: log 2
        tensor(0.6931)
    """
    logits = at_least_float32(logits)
    inside = groups.same & groups.valid
    attract = ranks.gather(-_log_sum(-logits, inside))
    repel = ranks.gather(_log_sum(logits, groups.valid & ~groups.same))
    positive = _log_sum(attract.expand(len(logits), -1), inside)
    negative = _log_sum(repel.expand(len(logits), -1), inside)
    anchors = groups.anchors & inside.any(1)
    loss = F.softplus(torch.where(anchors, negative - positive, torch.finfo(logits.dtype).min))
    weight = anchors / inside.sum(1).clamp_min(1).to(logits.dtype)  # a group weighs one, however many rows it has
    return (loss * weight).sum() / mean_over_ranks(weight.sum(), ranks).clamp_min(1e-6)


def _log_sum(logits: Tensor, counts: Tensor) -> Tensor:
    """Log of the sum of exponentials over the entries of a row that count; the least number where none does."""
    return logits.masked_fill(~counts, torch.finfo(logits.dtype).min).logsumexp(1)
