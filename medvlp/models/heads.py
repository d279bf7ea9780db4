"""Heads: from the features of an encoder to what a loss compares."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.models.precision import at_least_float32, cosines
from medvlp.models.ranks import ONE_RANK, Ranks
from medvlp.models.temperature import Temperature


class ProjectionHead(nn.Module):
    """Linear map, or a perceptron with one hidden layer, onto the unit sphere.

    Args:
        in_dim, out_dim: widths.
        hidden: width of the hidden layer (GELU); None for a linear map without bias, as in CLIP.

    Examples:
        >>> ProjectionHead(8, 4)(torch.randn(2, 8)).norm(dim=-1).round().detach()
        tensor([1., 1.])
    """

    def __init__(self, in_dim: int, out_dim: int, hidden: int | None = None) -> None:
        super().__init__()
        self.layers: nn.Module = (
            nn.Linear(in_dim, out_dim, bias=False)
            if hidden is None
            else nn.Sequential(nn.Linear(in_dim, hidden), nn.GELU(), nn.Linear(hidden, out_dim))
        )

    def forward(self, features: Tensor) -> Tensor:
        """`[..., in_dim]` -> unit vectors `[..., out_dim]`, in float32 so that cosines keep their digits."""
        return F.normalize(self.layers(features).float(), dim=-1)


class PrototypeHead(nn.Module):
    """Features -> logits `s cos(h(x), W_e) + b_e` of each class, with h linear, s and W learned (DLILP's label head).

    Args:
        in_dim: width of the features. dim: width of the space of prototypes. classes: their number.
        bias: learn b_e; False keeps it at zero, as in the paper.

    Attributes:
        prototypes: W, `[classes, dim]`, of any length. bias: b, `[classes]`.

    Examples:
        >>> PrototypeHead(8, 4, classes=3)(torch.randn(2, 8)).shape
        torch.Size([2, 3])
    """

    def __init__(self, in_dim: int, dim: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        self.head = ProjectionHead(in_dim, dim)
        self.prototypes = nn.Parameter(torch.empty(classes, dim))
        nn.init.kaiming_normal_(self.prototypes)
        self.bias = nn.Parameter(torch.zeros(classes), requires_grad=bias)
        self.temperature = Temperature()

    def forward(self, features: Tensor) -> Tensor:
        """`[..., in_dim]` -> logits `[..., classes]`, in at least float32."""
        return self.temperature(cosines(self.head(features), F.normalize(self.prototypes, dim=1))) + self.bias


class MaskedBatchNorm(nn.Module):
    """Batch norm (Ioffe & Szegedy, ICML 2015) of vectors, of which some do not count.

    An image without report has a text vector of zero, which must not enter the mean. In a distributed run the
    statistics are over all ranks, with gradients, so that N ranks on B/N rows normalize as one does on B.

    Args:
        dim: width. affine: learn a weight and a bias.
        momentum: fraction of a batch in the running statistics, which evaluation uses.

    Attributes:
        running_mean, running_var: `[dim]`; they stay as they are in a batch without any row that counts.

    Examples:
        >>> norm = MaskedBatchNorm(1)
        >>> norm(torch.tensor([[1.0], [3.0], [99.0]]), torch.tensor([True, True, False]))[:2].detach()
        tensor([[-1.0000],
                [ 1.0000]])
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

    def forward(self, rows: Tensor, valid: Tensor | None = None, ranks: Ranks = ONE_RANK) -> Tensor:
        """Rows `[..., dim]`, and bool `[...]` for those that count (None: all) -> `[..., dim]`, at least float32."""
        rows = at_least_float32(rows)
        mean, variance = self._of_batch(rows, valid, ranks) if self.training else (self.running_mean, self.running_var)
        normed = (rows - mean) * (variance + self.eps).rsqrt()
        return normed if self.weight is None or self.bias is None else normed * self.weight + self.bias

    def _of_batch(self, rows: Tensor, valid: Tensor | None, ranks: Ranks) -> tuple[Tensor, Tensor]:
        flat = rows.flatten(0, -2)
        weight = torch.ones_like(flat[:, :1]) if valid is None else valid.flatten()[:, None].to(flat.dtype)
        flat = flat.masked_fill(weight == 0, 0.0)
        number = ranks.gather(weight.sum()[None]).sum()
        least = number.clamp_min(1)
        mean = ranks.gather((flat * weight).sum(0)[None]).sum(0) / least
        variance = ranks.gather(((flat - mean).square() * weight).sum(0)[None]).sum(0) / least
        with torch.no_grad():
            momentum = self.momentum * (number > 0)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            unbiased = variance * number / (number - 1).clamp_min(1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)
        return mean, variance


class BatchNormProjector(nn.Module):
    """Linear, batch norm, ReLU, linear, batch norm without affine part: the projector of BYOL as M-FLAG ends it.

    The last norm gives every dimension unit variance over the batch. Without negatives, this is what keeps two
    trained heads from collapsing to a constant. The linear maps have no bias: the norms would cancel it.

    Args:
        in_dim, hidden, out_dim: widths.

    Examples:
        >>> BatchNormProjector(8, 16, 4)(torch.randn(5, 8)).shape
        torch.Size([5, 4])
    """

    def __init__(self, in_dim: int, hidden: int, out_dim: int) -> None:
        super().__init__()
        self.inner, self.inner_norm = nn.Linear(in_dim, hidden, bias=False), MaskedBatchNorm(hidden)
        self.outer, self.outer_norm = nn.Linear(hidden, out_dim, bias=False), MaskedBatchNorm(out_dim, affine=False)

    def forward(self, features: Tensor, valid: Tensor | None = None, ranks: Ranks = ONE_RANK) -> Tensor:
        """`[..., in_dim]` -> unit vectors `[..., out_dim]` in at least float32; see `MaskedBatchNorm`."""
        hidden = self.inner_norm(self.inner(features), valid, ranks).relu()
        return F.normalize(self.outer_norm(self.outer(hidden), valid, ranks), dim=-1)


class MaskedTokenHead(nn.Module):
    """Dense, GELU, layer norm, and the products with the tokens' own embeddings (BERT's head with tied weights).

    Args:
        dim: width of the features and of the embeddings. vocab_size: rows of the embedding.

    Examples:
        >>> head, embedding = MaskedTokenHead(8, 100), torch.randn(100, 8)
        >>> head(torch.randn(2, 6, 8), torch.tensor([[1, 3], [2, 4]]), embedding).shape
        torch.Size([2, 2, 100])
    """

    def __init__(self, dim: int, vocab_size: int) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(dim, dim), nn.LayerNorm(dim)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(vocab_size))

    def forward(self, tokens: Tensor, position: Tensor, embedding: Tensor) -> Tensor:
        """Features `[N, T, D]`, positions int64 `[N, K]`, embedding `[V, D]` -> logits `[N, K, V]` there."""
        hidden = tokens.gather(1, position[..., None].expand(-1, -1, tokens.shape[-1]))
        return F.linear(self.norm(F.gelu(self.dense(hidden))), embedding, self.bias)


class DisentanglingGate(nn.Module):
    """`m = W x + b`, streams `m x` and `(1 - m) x`, whose sum is x (MeDSLIP, Fan et al. 2024).

    The authors' gate is unbounded, so that one stream may exceed the features and the other be negative;
    `bounded` puts a sigmoid on it, so that it splits each value in two fractions.

    Args:
        dim: width of the features. bounded: put a sigmoid on the gate.

    Examples:
        >>> features = torch.randn(2, 8)
        >>> first, second = DisentanglingGate(8)(features)
        >>> torch.allclose(first + second, features)
        True
    """

    def __init__(self, dim: int, bounded: bool = True) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, dim)
        self.bounded = bounded

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[..., D]` -> two streams `[..., D]`."""
        gate = self.gate(features)
        first = (gate.sigmoid() if self.bounded else gate) * features
        return first, features - first
