"""`RelationScorer`: similarity that is learnt: what one side asks reads the other side, and a perceptron scores it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medvlp.models.query_decoder import QueryDecoder


class RelationScorer(nn.Module):
    """Cross-attention in place of a cosine (CARZero, Lai et al., CVPR 2024).

        S_bn = MLP( decoder(q_n; M_b) )

    Each query reads each memory through a decoder without self-attention, so that a score does not depend on what else
    is asked. The same weights serve texts that ask images and images that ask texts.

    Args:
        width: D of queries and memory. layers, heads: of the decoder.
        chunk: memories at a time, computed again in the backward pass where there are more, so that activations (B N
            queries through all layers) do not grow with the square of the batch.
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
            mask: bool `[B, M]`, something in each row; None: all counts.
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

    def where(
        self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, position: Tensor | None = None
    ) -> Tensor:
        """Attention `[B, N, M]` of the queries, the mean over heads and layers."""
        _, attention = self.decoder(queries, memory, position, need_attention=True, mask=mask)
        return attention

    def _score(self, queries: Tensor, memory: Tensor, mask: Tensor, position: Tensor | None) -> Tensor:
        answers, _ = self.decoder(queries, memory, position, mask=mask)
        return self.head(answers)[..., 0]
