"""`GatedSplit`: one visual feature becomes a stream of what and a stream of where."""

from __future__ import annotations

from torch import Tensor, nn


class GatedSplit(nn.Module):
    """`m = W x + b`, streams `m x` and `(1 - m) x`, whose sum is x (MeDSLIP, Fan et al. 2024).

    The authors' gate is unbounded, so that a stream may hold more than the whole and the other less than nothing;
    `bounded` puts a sigmoid on it, which makes it a share.

    Args:
        dim: width of the features. bounded: put a sigmoid on the gate.
    """

    def __init__(self, dim: int, bounded: bool = True) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, dim)
        self.bounded = bounded

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[..., D]` -> two streams `[..., D]`."""
        share = self.gate(features)
        share = share.sigmoid() if self.bounded else share
        first = share * features
        return first, features - first
