"""Contrastive losses on logits, images by texts: InfoNCE with any number of positives, and the sigmoid loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks
from medvlp.objectives.classification import Unmentioned, unmentioned_as_negative
from medvlp.reports.states import FindingState


def info_nce(
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
        row_weight: w, the weight of the rows' direction.
        ranks: of a distributed run: rows are this rank's, columns are the same on all. The ranks exchange three numbers
            a column.

    Returns:
        a scalar in at least float32; 0 where nothing has a positive.

    Examples:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
        >>> info_nce(logits, torch.eye(2))  # CLIP
        tensor(0.1269)
        >>> info_nce(logits, torch.ones(2, 2))  # both texts are right for both images
        tensor(1.1269)
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
    has_report: Tensor | None = None,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Contrast of images with findings: an image with n present findings has n positives.

    Absent findings are the negatives. Uncertain ones are removed from both sums, and so are unmentioned ones unless
    they are taken as negative. (MAVL takes them so, and does not normalize the target.)

    Args:
        logits: `[B, F]`, image against finding.
        states: int8 `[B, F]`, four states.
        unmentioned: how unmentioned findings of images with a report count: `ignore` or `negative`.
        row_weight: weight of the direction image to finding.
        has_report: bool `[B]`, images that have a report. None: all have.
        ranks: as in `info_nce`.

    Examples:
        >>> states = torch.tensor([[1, 1, 0], [0, -1, 1]])
        >>> multi_positive_nce(torch.zeros(2, 3), states)
        tensor(0.6790)
    """
    known = (states == FindingState.PRESENT) | (states == FindingState.ABSENT)
    if unmentioned == "negative":
        known = known | unmentioned_as_negative(states, has_report)
    return info_nce(logits, (states == FindingState.PRESENT).to(logits.dtype), known, row_weight, ranks)


def _cross_entropy(agreement: Tensor, mass: Tensor, log_sum: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy `log sum_j exp S_ij - sum_j T_ij S_ij / sum_j T_ij` of each line; and 1 or 0, whether it counts."""
    has_positive = (mass > 0).to(mass.dtype)
    return (log_sum - agreement / mass.clamp_min(torch.finfo(mass.dtype).tiny)) * has_positive, has_positive


def sigmoid_contrast(
    logits: Tensor, positive: Tensor, valid: Tensor | None = None, count: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of all pairs, summed over each row and averaged over rows.

        L = -(1 / N) sum_ij log sigmoid(y_ij l_ij),     y = +1 for a positive pair and -1 for another

    SigLIP (Zhai et al., ICCV 2023), IT-Align of ConceptCLIP. Its PC-Align (patches against the concepts of all
    captions) divides by the number of concepts, which are its columns: give that as `count`.

    Args:
        logits: `[N, M]`; see `SigmoidScale`.
        positive: bool `[N, M]`; any number in a row, none included.
        valid: bool `[N, M]`; pairs that are False do not count. A row without any valid pair leaves the mean.
        count: scalar that the sum is divided by; None takes the rows that have a valid pair. In a distributed run the
            mean count of a rank, so that the mean over ranks is the loss of one process (`mean_over_ranks`).

    Returns:
        a scalar in at least float32; 0 where nothing is valid.

    Examples:
        >>> logits = 10 * torch.eye(2) - 5
        >>> sigmoid_contrast(logits, torch.eye(2).bool())
        tensor(0.0134)
    """
    valid = torch.ones_like(positive) if valid is None else valid
    logits = at_least_float32(logits).masked_fill(~valid, 0.0)  # whatever stood there, infinity included
    loss = F.softplus(torch.where(positive, -logits, logits))
    count = valid.any(1).sum() if count is None else count
    return (loss * valid).sum() / count.clamp_min(1e-6)
