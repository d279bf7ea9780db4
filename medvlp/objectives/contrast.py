"""Contrast against a target matrix: InfoNCE with as many positives as there are, and entries that do not count."""

from __future__ import annotations

import torch
from torch import Tensor

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.objectives.masked_bce import Unmentioned, silence_counts
from medvlp.reports.states import FindingState


def target_nce(
    logits: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    row_weight: float = 0.5,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Soft cross-entropy over rows and over columns, against row- and column-normalized targets.

        L = w mean_i H(T_i. / sum_j T_ij, softmax_j S_ij) + (1 - w) mean_j H(T_.j / sum_i T_ij, softmax_i S_ij)

    With the identity as target this is the loss of ConVIRT (Zhang et al. 2022, w = 0.75 for image to text) and CLIP
    (Radford et al. 2021, w = 0.5); with shared labels that of UniCL (Yang et al. 2022). Rows and columns without a
    positive are left out of their mean. With k equal positives in a row the least value is log k, not 0.

    Args:
        logits: `[N, M]`, cosines times scale; images are rows.
        target: `[N, M]`, not negative; need not be normalized, nor square.
        valid: bool `[N, M]`; an entry that is False is neither positive nor negative: it leaves numerator and
            denominator, and its gradient is exactly zero.
        row_weight: share w of the rows' direction.
        ranks: of a distributed run: rows are this rank's, columns are the same on all. Of a column, the ranks exchange
            three numbers.

    Returns:
        a scalar in at least float32; 0 where nothing has a positive.
    """
    logits = at_least_float32(logits)
    target = target.to(logits.dtype)
    if valid is not None:
        target = target.masked_fill(~valid, 0.0)
        logits = logits.masked_fill(~valid, torch.finfo(logits.dtype).min)  # not -inf: a row may be all invalid
    agreement = target * logits
    by_row, row_counts = _cross_entropy(agreement.sum(1), target.sum(1), logits.logsumexp(1))
    of_columns = torch.stack([agreement.sum(0), target.sum(0), logits.logsumexp(0)])
    parts = ranks.gather(of_columns[None])  # [ranks, 3, M]
    by_column, column_counts = _cross_entropy(parts[:, 0].sum(0), parts[:, 1].sum(0), parts[:, 2].logsumexp(0))
    rows = by_row.sum() / mean_over_ranks(row_counts.sum(), ranks).clamp_min(1e-6)
    columns = by_column.sum() / column_counts.sum().clamp_min(1)
    return row_weight * rows + (1 - row_weight) * columns


def multi_positive_nce(
    logits: Tensor,
    states: Tensor,
    unmentioned: Unmentioned = "ignore",
    row_weight: float = 0.5,
    reported: Tensor | None = None,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Contrast of images with findings: an image with n present findings has n positives.

    Denied findings are the negatives. Uncertain ones are removed from both sums, since nothing is known of them, and so
    are unmentioned ones unless they are taken as negative. (MAVL takes them so, and does not normalize the target.)

    Args:
        logits: `[B, F]`, image against finding.
        states: int8 `[B, F]`, four states.
        unmentioned: what silence counts as, in images that have a report.
        row_weight: share of the direction image to finding.
        reported: bool `[B]`, images that have a report. None: all have.
        ranks: as in `target_nce`.
    """
    known = (states == FindingState.PRESENT) | (states == FindingState.ABSENT)
    if unmentioned == "negative":
        known = known | silence_counts(states, reported)
    return target_nce(logits, (states == FindingState.PRESENT).to(logits.dtype), known, row_weight, ranks)


def _cross_entropy(agreement: Tensor, mass: Tensor, log_sum: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy `log sum_j exp S_ij - sum_j T_ij S_ij / sum_j T_ij` of each line; and 1 or 0, whether it counts."""
    has_positive = (mass > 0).to(mass.dtype)
    return (log_sum - agreement / mass.clamp_min(torch.finfo(mass.dtype).tiny)) * has_positive, has_positive
