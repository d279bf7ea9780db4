"""`MaskedTokenHead`: from a hidden token's features to a guess of what it was."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class MaskedTokenHead(nn.Module):
    """Dense, GELU, layer norm, and the products with the tokens' own embeddings (BERT's head with tied weights).

    Args:
        dim: width of the features and of the embeddings. vocab_size: rows of the embedding.
    """

    def __init__(self, dim: int, vocab_size: int) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(dim, dim), nn.LayerNorm(dim)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(vocab_size))

    def forward(self, tokens: Tensor, place: Tensor, embedding: Tensor) -> Tensor:
        """Features `[N, T, D]`, places int64 `[N, K]` and embedding `[V, D]` -> logits `[N, K, V]` at the places."""
        hidden = tokens.gather(1, place[..., None].expand(-1, -1, tokens.shape[-1]))
        return F.linear(self.norm(F.gelu(self.dense(hidden))), embedding, self.bias)
