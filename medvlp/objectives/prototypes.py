"""Prototype banks: soft codes that use all prototypes alike (Sinkhorn), and swapped prediction between modalities."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medvlp.objectives.precision import at_least_float32


@torch.no_grad()
def sinkhorn(scores: Tensor, sharpness: float = 20.0, iterations: int = 3) -> Tensor:
    """Codes `[N, K]` whose rows sum to 1 and whose columns, after enough iterations, to N / K (Cuturi 2013; SwAV).

    In log space: `exp(20)` and sums of it leave the range of half precision, which is where MGCA's version overflows.

    Args:
        scores: `[N, K]`, cosines of features with prototypes. sharpness: 1 / epsilon.
        iterations: of columns, then rows; three are usual.
    """
    log_code = at_least_float32(scores) * sharpness
    rows, columns = math.log(log_code.shape[0]), math.log(log_code.shape[1])
    for _ in range(iterations):
        log_code = log_code - log_code.logsumexp(0, keepdim=True) + rows - columns
        log_code = log_code - log_code.logsumexp(1, keepdim=True)
    return log_code.exp()


def swapped_prediction(first: Tensor, second: Tensor, temperature: float = 0.2, sharpness: float = 20.0) -> Tensor:
    """Each modality predicts the other's code: MGCA's cross-modal prototype alignment (Wang et al., NeurIPS 2022).

        L = 1/2 mean_n [ H(q(second_n), softmax(first_n / t)) + H(q(first_n), softmax(second_n / t)) ]

    MGCA sums the two directions; here they are averaged, as in the other contrasts. Zero scores cost log K.

    Args:
        first, second: scores of paired rows with one bank of prototypes, `[N, K]`.
        temperature: t. sharpness: of the codes; see `sinkhorn`.
    """
    one = _cross_entropy(sinkhorn(second, sharpness), first, temperature)
    return 0.5 * (one + _cross_entropy(sinkhorn(first, sharpness), second, temperature))


def _cross_entropy(code: Tensor, scores: Tensor, temperature: float) -> Tensor:
    return -(code * (at_least_float32(scores) / temperature).log_softmax(1)).sum(1).mean()


def co_occurrence(present: Tensor, smoothing: float = 1.0) -> Tensor:
    """How often finding j is present where finding i is: `[F, F]`, rows are conditional frequencies.

    As a bank: `co_occurrence(Y) @ prototypes` lets a rare finding lean on those that it comes with.

    Args:
        present: bool or float `[N, F]`. smoothing: pseudo-count on the diagonal, so that an unseen finding is itself.
    """
    counts = present.to(torch.get_default_dtype()).t() @ present.to(torch.get_default_dtype())
    counts = counts + smoothing * torch.eye(len(counts), device=counts.device, dtype=counts.dtype)
    return counts / counts.sum(1, keepdim=True)
