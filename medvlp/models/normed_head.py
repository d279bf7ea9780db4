"""`NormedHead`: a projector with batch norm, whose statistics are those of the rows that count, on all ranks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32
from medvlp.models.ranks import ONE_RANK, Ranks


class RowNorm(nn.Module):
    """Batch norm (Ioffe & Szegedy, ICML 2015) of vectors, some of which do not count.

    An image without report has a text vector of zero, which belongs in no mean. In a distributed run the statistics
    are over all ranks, with gradients, so that N ranks on B/N rows normalize as one does on B.

    Args:
        dim: width. affine: learn a weight and a bias.
        momentum: share of a batch in the running statistics, which evaluation uses.

    Attributes:
        running_mean, running_var: `[dim]`; they stay as they are in a batch without any row that counts.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, dim: int, affine: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(dim)) if affine else None
        self.bias = nn.Parameter(torch.zeros(dim)) if affine else None
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(self, rows: Tensor, counts: Tensor | None = None, ranks: Ranks = ONE_RANK) -> Tensor:
        """Rows `[..., dim]`, and bool `[...]` for those that count (None: all) -> `[..., dim]`, at least float32."""
        rows = at_least_float32(rows)
        mean, variance = self._of_batch(rows, counts, ranks) if self.training else (self.running_mean, self.running_var)
        normed = (rows - mean) * (variance + self.eps).rsqrt()
        return normed if self.weight is None or self.bias is None else normed * self.weight + self.bias

    def _of_batch(self, rows: Tensor, counts: Tensor | None, ranks: Ranks) -> tuple[Tensor, Tensor]:
        flat = rows.flatten(0, -2)
        weight = torch.ones_like(flat[:, :1]) if counts is None else counts.flatten()[:, None].to(flat.dtype)
        flat = flat.masked_fill(weight == 0, 0.0)
        number = ranks.gather(weight.sum()[None]).sum()
        least = number.clamp_min(1)
        mean = ranks.gather((flat * weight).sum(0)[None]).sum(0) / least
        variance = ranks.gather(((flat - mean).square() * weight).sum(0)[None]).sum(0) / least
        with torch.no_grad():
            share = self.momentum * (number > 0)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
            unbiased = variance * number / (number - 1).clamp_min(1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)
        return mean, variance


class NormedHead(nn.Module):
    """Linear, batch norm, ReLU, linear, batch norm without affine part: the projector of BYOL as M-FLAG ends it.

    The last norm gives every dimension unit variance over the batch. Where nothing is a negative, this is what keeps
    two learnt heads from agreeing on one constant. The linear maps have no bias: the norms would take it away.

    Args:
        in_dim, hidden, out_dim: widths.
    """

    def __init__(self, in_dim: int, hidden: int, out_dim: int) -> None:
        super().__init__()
        self.inner, self.inner_norm = nn.Linear(in_dim, hidden, bias=False), RowNorm(hidden)
        self.outer, self.outer_norm = nn.Linear(hidden, out_dim, bias=False), RowNorm(out_dim, affine=False)

    def forward(self, features: Tensor, counts: Tensor | None = None, ranks: Ranks = ONE_RANK) -> Tensor:
        """`[..., in_dim]` -> unit vectors `[..., out_dim]` in at least float32; see `RowNorm`."""
        hidden = self.inner_norm(self.inner(features), counts, ranks).relu()
        return F.normalize(self.outer_norm(self.outer(hidden), counts, ranks), dim=-1)
