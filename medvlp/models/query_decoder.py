"""`QueryDecoder`: questions (findings) read an image's patches, and say where they looked."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention that can return its weights, and whose keys may carry a position code."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide the width {dim}")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        queries: Tensor,
        memory: Tensor,
        position: Tensor | None = None,
        weights: bool = False,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Queries `[B, F, D]`, memory `[B, P, D]`, position `[P, D]`, mask bool `[B, P]` of what may be looked at
        (something in each row) -> `[B, F, D]` and weights `[B, F, P]` (mean over heads) or None."""
        q = self._split(self.query(queries))
        k = self._split(self.key(memory if position is None else memory + position))
        v = self._split(self.value(memory))
        allowed = None if mask is None else mask[:, None, None]
        if not weights:
            return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2).flatten(2)), None
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        attention = (scores if allowed is None else scores.masked_fill(~allowed, float("-inf"))).softmax(-1)
        return self.out((attention @ v).transpose(1, 2).flatten(2)), attention.mean(1)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, N, D / heads]


class DecoderLayer(nn.Module):
    """Pre-norm layer: self-attention among queries (optional), attention to the memory, perceptron."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, self_attention: bool) -> None:
        super().__init__()
        self.self_attention = Attention(dim, heads) if self_attention else None
        self.self_norm = nn.LayerNorm(dim) if self_attention else None
        self.cross_norm = nn.LayerNorm(dim)
        self.cross_attention = Attention(dim, heads)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, queries: Tensor, memory: Tensor, position: Tensor | None, weights: bool, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if self.self_attention is not None and self.self_norm is not None:
            normed = self.self_norm(queries)
            queries = queries + self.dropout(self.self_attention(normed, normed)[0])
        read, attention = self.cross_attention(self.cross_norm(queries), memory, position, weights, mask)
        queries = queries + self.dropout(read)
        return queries + self.dropout(self.mlp(self.mlp_norm(queries))), attention


class QueryDecoder(nn.Module):
    """Queries (one a finding, a place, a sentence) attend to patches, layer by layer.

    The decoder of DETR with pre-normalization, as MedKLIP and KAD use it. Without self-attention, queries do not
    see each other, so that an answer does not depend on what else is asked (CARZero); this is what zero-shot use needs,
    and the default. Any number of queries may be asked.

    Args:
        dim: width D of queries and memory. heads: attention heads. layers: number of layers.
        hidden: width of the perceptrons, 2 D when None.
        dropout: after attention and perceptron.
        self_attention: let the queries of one image see each other.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
        self_attention: bool = False,
    ) -> None:
        super().__init__()
        self.memory_norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(
            DecoderLayer(dim, heads, hidden or 2 * dim, dropout, self_attention) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        queries: Tensor,
        memory: Tensor,
        position: Tensor | None = None,
        need_attention: bool = False,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Ask.

        Args:
            queries: `[F, D]`, the same for all images, or `[B, F, D]`.
            memory: `[B, P, D]`, patches or tokens.
            position: `[P, D]`, added to the keys; see `grid_position`.
            need_attention: return attention maps; costs memory, since the fused kernel cannot give them.
            mask: bool `[B, P]`, what may be looked at, such as the tokens of a padded text; something in each row.

        Returns:
            answers `[B, F, D]`, and attention `[B, F, P]` as the mean over heads and layers (rows sum to 1), or None.
        """
        if queries.ndim == 2:
            queries = queries.expand(len(memory), -1, -1)
        memory = self.memory_norm(memory)
        maps = []
        for layer in self.layers:
            queries, attention = layer(queries, memory, position, need_attention, mask)
            maps.append(attention)
        return self.norm(queries), torch.stack(cast(list[Tensor], maps)).mean(0) if need_attention else None
