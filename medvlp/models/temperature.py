"""From cosines to logits: the learnable scales of contrastive losses."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """Multiplies cosines by `exp(s)`, with `s` learned and `exp(s)` held within [1, `max_scale`].

    The parameter is the logarithm (CLIP, Radford et al. 2021). It is clamped in `forward`, so that no method
    has to. At a bound the gradient that leads further out is zero, and the one that leads back is not, so that a
    scale which has met its bound can leave it, as CLIP's can.

    Args:
        initial: the temperature at initialization; the scale is its inverse.
        max_scale: bound of the scale.
        learnable: False for a fixed temperature.

    Raises:
        ValueError: an initial temperature whose scale is out of bounds.

    Examples:
        >>> Temperature(0.07)(torch.tensor([1.0, 0.5])).detach()
        tensor([14.2857,  7.1429])
    """

    def __init__(self, initial: float = 0.07, max_scale: float = 100.0, learnable: bool = True) -> None:
        super().__init__()
        if not 1 / max_scale <= initial <= 1:
            raise ValueError(
                f"temperature {initial} gives a scale out of [1, {max_scale:g}]; take {1 / max_scale:g} to 1"
            )
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / initial)), requires_grad=learnable)
        self.max_scale = max_scale

    @property
    def scale(self) -> Tensor:
        """The scale, `exp(s)`."""
        scale: Tensor = _Bounded.apply(self.log_scale, 0.0, math.log(self.max_scale)).exp()
        return scale

    def forward(self, cosines: Tensor) -> Tensor:
        """Cosines of any shape -> logits."""
        return cosines * self.scale


class _Bounded(torch.autograd.Function):
    """A clamp that lets a gradient through where descent along it leads back inside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,), (low, high) = ctx.saved_tensors, ctx.bounds
        outwards = ((x <= low) & (grad > 0)) | ((x >= high) & (grad < 0))
        return grad.masked_fill(outwards, 0.0), None, None


class SigmoidScale(nn.Module):
    """Cosines -> logits `exp(s) cos + b`, both learned.

    SigLIP starts at exp(s) = 10 and b = -10, so that no pair matches at first and the many negatives cost little.

    Examples:
        >>> SigmoidScale()(torch.tensor([1.0, 0.0])).detach()
        tensor([  0., -10.])
    """

    def __init__(self, scale: float = 10.0, bias: float = -10.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, cosines: Tensor) -> Tensor:
        """Cosines of any shape -> logits."""
        return cosines * self.log_scale.exp() + self.bias
