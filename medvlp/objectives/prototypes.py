"""Prototype banks: soft codes that use all prototypes alike (Sinkhorn), and swapped prediction between modalities."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks, mean_over_ranks


@torch.no_grad()
def sinkhorn(scores: Tensor, sharpness: float = 20.0, iterations: int = 3, valid: Tensor | None = None) -> Tensor:
    """Codes `[N, K]` whose rows sum to 1 and whose columns, after enough iterations, to N / K (Cuturi 2013; SwAV).

    In log space: `exp(20)` and sums of it leave the range of half precision, which is where MGCA's version overflows.

    Args:
        scores: `[N, K]`, cosines of features with prototypes. sharpness: 1 / epsilon.
        iterations: of columns, then rows; three are usual.
        valid: bool `[N]`; a row that is False has no part in any prototype, and its code is undefined.

    Examples:
        >>> sinkhorn(torch.tensor([[1.0, 0.0], [1.0, 0.1]]), iterations=20).sum(0)  # both prototypes are used alike
        tensor([1., 1.])
    """
    log_code = at_least_float32(scores) * sharpness
    columns = math.log(log_code.shape[1])
    if valid is None:
        valid = torch.ones_like(log_code[:, 0], dtype=torch.bool)
    rows = valid.sum().clamp_min(1).to(log_code.dtype).log()
    for _ in range(iterations):
        column_sums = log_code.masked_fill(~valid[:, None], -1e9).logsumexp(
            0, keepdim=True
        )  # -inf would be NaN without any
        log_code = log_code - column_sums + rows - columns
        log_code = log_code - log_code.logsumexp(1, keepdim=True)
    return log_code.exp()


def swapped_prediction(
    first: Tensor,
    second: Tensor,
    temperature: float = 0.2,
    sharpness: float = 20.0,
    valid: Tensor | None = None,
    ranks: Ranks = ONE_RANK,
) -> Tensor:
    """Each modality predicts the other's code: MGCA's cross-modal prototype alignment (Wang et al., NeurIPS 2022).

        L = 1/2 mean_n [ H(q(second_n), softmax(first_n / t)) + H(q(first_n), softmax(second_n / t)) ]

    The two directions are averaged, as in MGCA's code. Zero scores cost log K.

    Args:
        first, second: scores of paired rows with one bank of prototypes, `[N, K]`.
        temperature: t. sharpness: of the codes; see `sinkhorn`.
        valid: bool `[N]`, rows that enter codes and mean. None: all.
        ranks: of a distributed run; prototypes are shared out among the rows of all ranks.

    Returns:
        a scalar; 0 where no row is a pair.

    Examples:
        >>> swapped_prediction(torch.zeros(4, 8), torch.zeros(4, 8))  # log 8
        tensor(2.0794)
    """
    valid = torch.ones_like(first[:, 0], dtype=torch.bool) if valid is None else valid
    first, second = first.masked_fill(~valid[:, None], 0.0), second.masked_fill(~valid[:, None], 0.0)
    every_valid, own = ranks.gather(valid), ranks.first_row(len(valid))
    total = first.new_zeros(len(valid), dtype=at_least_float32(first).dtype)
    for guess, other in ((first, second), (second, first)):
        code = sinkhorn(ranks.gather(other.detach()), sharpness, valid=every_valid)[own : own + len(valid)]
        total = total - (code * (at_least_float32(guess) / temperature).log_softmax(1)).sum(1)
    total = (0.5 * total * valid).sum()
    return total / mean_over_ranks(valid.sum().to(total.dtype), ranks).clamp_min(1e-6)
