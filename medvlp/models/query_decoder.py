"""`QueryDecoder`: queries (findings, places, sentences) attend to the patches of an image, and where they looked."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


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
        """Queries `[B, F, D]`, memory `[B, P, D]`, position `[P, D]`, mask bool `[B, P]` of what may be attended to
        (at least one in each row) -> `[B, F, D]` and weights `[B, F, P]` (mean over heads) or None."""
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

    The decoder of DETR with pre-normalization, as in MedKLIP and KAD. Without self-attention a query's answer does not
    depend on the other queries (CARZero), as zero-shot use needs; this is the default. Any number of queries is
    allowed.

    Args:
        dim: width D of queries and memory. heads: attention heads. layers: number of layers.
        hidden: width of the perceptrons, 2 D when None.
        dropout: after attention and perceptron.
        self_attention: let the queries of one image attend to each other.

    Examples:
        >>> queries, patches = torch.randn(14, 8), torch.randn(2, 49, 8)
        >>> answers, attention = QueryDecoder(8)(queries, patches, need_attention=True)
        >>> answers.shape, attention.shape
        (torch.Size([2, 14, 8]), torch.Size([2, 14, 49]))
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
        """Decode.

        Args:
            queries: `[F, D]`, the same for all images, or `[B, F, D]`.
            memory: `[B, P, D]`, patches or tokens.
            position: `[P, D]`, added to the keys; see `grid_position`.
            need_attention: return attention maps; costs memory, since the fused kernel cannot give them.
            mask: bool `[B, P]`, what may be attended to, such as the tokens of a padded text; at least one in each row.

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


class RelationScorer(nn.Module):
    """Cross-attention in place of a cosine (CARZero, Lai et al., CVPR 2024).

        S_bn = MLP( decoder(q_n; M_b) )

    Each query attends to each memory through a decoder without self-attention, so that a score does not depend on the
    other queries. The same weights serve texts as queries of images and images as queries of texts.

    Args:
        width: D of queries and memory. layers, heads: of the decoder.
        chunk: memories at a time, computed again in the backward pass where there are more, so that activations (B N
            queries through all layers) do not grow with the square of the batch.

    Examples:
        >>> RelationScorer(8, layers=1)(torch.randn(3, 8), torch.randn(2, 49, 8)).shape
        torch.Size([2, 3])
    """

    def __init__(self, width: int, layers: int = 4, heads: int = 4, chunk: int = 32) -> None:
        super().__init__()
        self.decoder = QueryDecoder(width, layers, heads, self_attention=False)
        # No bias at the end: it would add the same to all scores, of which a contrast sees differences alone.
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1, bias=False))
        self.chunk = chunk

    def forward(
        self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, position: Tensor | None = None
    ) -> Tensor:
        """Scores `[B, N]`.

        Args:
            queries: `[N, D]`. memory: `[B, M, D]`.
            mask: bool `[B, M]`, at least one in each row; None: all.
            position: `[M, D]`, added to the keys.
        """
        mask = torch.ones_like(memory[..., 0], dtype=torch.bool) if mask is None else mask
        if len(memory) <= self.chunk:
            return self._score(queries, memory, mask, position)
        parts = [
            checkpoint(self._score, queries, m, allowed, position, use_reentrant=False, preserve_rng_state=False)
            for m, allowed in zip(memory.split(self.chunk), mask.split(self.chunk), strict=True)
        ]
        return torch.cat(parts)

    def attention(
        self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, position: Tensor | None = None
    ) -> Tensor:
        """Attention `[B, N, M]` of the queries, the mean over heads and layers."""
        _, attention = self.decoder(queries, memory, position, need_attention=True, mask=mask)
        return attention

    def _score(self, queries: Tensor, memory: Tensor, mask: Tensor, position: Tensor | None) -> Tensor:
        answers, _ = self.decoder(queries, memory, position, mask=mask)
        return self.head(answers)[..., 0]


def grid_position(grid: tuple[int, ...], dim: int, like: Tensor) -> Tensor:
    """Codes `[P, dim]` of the cells of a grid, row by row, with the type and device of `like`.

    Coordinates run from 0 to 1 over each axis, so that a code names a place in the body and not a number of patches: a
    model trained at one image size keeps its places at another. Each axis takes an equal share of `dim`, half sines and
    half cosines, at geometrically spaced frequencies from half a period to 16 periods over the image (after Vaswani et
    al. 2017 and DETR, Carion et al. 2020); dimensions left over are zero.

    Examples:
        >>> grid_position((2, 3, 4), 12, like=torch.zeros(1)).shape
        torch.Size([24, 12])
    """
    bands = dim // (2 * len(grid))
    frequencies = math.pi * torch.logspace(0, 5, bands, base=2.0, device=like.device)
    axes = [(torch.arange(n, device=like.device) + 0.5) / n for n in grid]
    cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)  # [P, axes]
    phase = cells[..., None] * frequencies  # [P, axes, bands]
    code = torch.cat([phase.sin(), phase.cos()], dim=-1).flatten(1)
    return torch.nn.functional.pad(code, (0, dim - code.shape[1])).to(like.dtype)


def gaussian_smooth(maps: Tensor, sigma: float) -> Tensor:
    """Maps `[..., H, W]` smoothed by a Gaussian, of the same shape.

    As `scipy.ndimage.gaussian_filter` does by default: the kernel is cut at 4 sigma, and beyond its border a map goes
    on as its mirror image. So the mean of a map is kept, and a constant one stays. BioViL smooths its maps of 15 x 15
    patches with 1.5 before it resizes them (Boecking et al., ECCV 2022; hi-ml).

    Args:
        maps: of any number of leading dimensions.
        sigma: in cells of the map; 0 leaves it as it is.

    Examples:
        >>> maps = torch.zeros(1, 5, 5)
        >>> maps[0, 2, 2] = 1
        >>> gaussian_smooth(maps, sigma=1.0).sum()
        tensor(1.)
    """
    if sigma == 0:
        return maps
    down, across = (_kernel(size, sigma).to(maps) for size in maps.shape[-2:])
    return down @ maps @ across.t()


def _kernel(size: int, sigma: float) -> Tensor:
    """`[size, size]`: what each cell takes of each other one."""
    reach = int(4 * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / sigma).double().square())
    mirrored = (torch.arange(size)[:, None] + offsets) % (2 * size)
    source = torch.minimum(mirrored, 2 * size - 1 - mirrored)
    share = (weights / weights.sum()).expand(size, -1)
    return torch.zeros(size, size, dtype=weights.dtype).scatter_add_(1, source, share)
