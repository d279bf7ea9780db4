"""The sigmoid contrast: each pair of image and text is a yes or no by itself."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32


class SigmoidScale(nn.Module):
    """Cosines -> logits `exp(s) cos + b`, both learnt.

    The start of SigLIP, exp(s) = 10 and b = -10, says of every pair that it does not match, so that the many negatives
    of the first steps cost nothing.
    """

    def __init__(self, scale: float = 10.0, bias: float = -10.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, cosines: Tensor) -> Tensor:
        """Cosines of any shape -> logits."""
        return cosines * self.log_scale.exp() + self.bias


def sigmoid_contrast(
    logits: Tensor, positive: Tensor, valid: Tensor | None = None, count: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of all pairs, summed over a row's and averaged over rows.

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
    """
    valid = torch.ones_like(positive) if valid is None else valid
    logits = at_least_float32(logits).masked_fill(~valid, 0.0)  # whatever stood there, infinity included
    loss = F.softplus(torch.where(positive, -logits, logits))
    count = valid.any(1).sum() if count is None else count
    return (loss * valid).sum() / count.clamp_min(1e-6)
