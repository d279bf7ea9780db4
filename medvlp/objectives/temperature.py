"""`Temperature`: the learnable scale of a contrast, always exponentiated and always bounded."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """Multiplies cosines by `exp(s)`, with `s` learnt and `exp(s)` held within [1, `largest`].

    The parameter is the logarithm (CLIP, Radford et al. 2021). It is clamped when it is read, so that a method cannot
    forget to, and the gradient at the bound is zero.

    Args:
        start: the temperature at the start; the scale is its inverse.
        largest: bound of the scale.
        learnt: False keeps the start, as the papers do that name one temperature.
    """

    def __init__(self, start: float = 0.07, largest: float = 100.0, learnt: bool = True) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / start)), requires_grad=learnt)
        self.largest = largest

    @property
    def scale(self) -> Tensor:
        """The scale, `exp(s)`."""
        return self.log_scale.clamp(0.0, math.log(self.largest)).exp()

    def forward(self, cosines: Tensor) -> Tensor:
        """Cosines of any shape -> logits."""
        return cosines * self.scale
