"""`AttentionPool`: a set of tokens becomes one vector by asking itself; padding is never looked at."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AttentionPool(nn.Module):
    """Multi-head attention of a query to masked tokens.

    Args:
        dim: width of the tokens. heads: attention heads. out_dim: width of the result, `dim` when None.
        query: `mean` asks with the mean of the tokens (the pooling of CLIP's ResNets, without its position code: add
            one to the tokens where order matters); `learnt` asks with one learnt vector (MAP of SigLIP).
    """

    def __init__(self, dim: int, heads: int = 4, out_dim: int | None = None, query: str = "mean") -> None:
        super().__init__()
        if dim % heads or query not in ("mean", "learnt"):
            raise ValueError(f"{heads} heads must divide the width {dim}, and query is mean or learnt, not {query!r}")
        self.heads = heads
        self.asked = nn.Parameter(torch.randn(dim) * dim**-0.5) if query == "learnt" else None
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim, out_dim or dim)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens `[N, T, D]` and mask bool `[N, T]` -> `[N, out_dim]`; zero for a row without any token."""
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if mask is None else mask
        exists = mask.any(1)
        count = mask.sum(1, keepdim=True).clamp_min(1)
        asked = (tokens * mask[..., None]).sum(1) / count if self.asked is None else self.asked.expand(len(tokens), -1)
        query, key, value = self._split(self.query(asked)[:, None]), self._split(self.key(tokens)), self.value(tokens)
        attended = (mask | ~exists[:, None])[:, None, None]  # an empty row looks at its padding, and is zeroed below
        pooled = F.scaled_dot_product_attention(query, key, self._split(value), attn_mask=attended)
        return self.out(pooled.flatten(1)) * exists[:, None]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [N, heads, T, D / heads]
