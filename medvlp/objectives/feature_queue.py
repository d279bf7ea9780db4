"""`FeatureQueue`: features of earlier batches as further negatives, in a ring buffer that lives on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeatureQueue(nn.Module):
    """The last `size` features and, where given, a group number for each (MoCo, He et al. 2020).

    The write position is a tensor, so that a step never waits for the device, and a batch need not divide the size.
    Until the queue is full, `filled` marks what may be used: pass it as `valid`.

    Args:
        size: features kept. dim: their width.

    Attributes:
        features: `[size, dim]`, unit vectors. groups: int64 `[size]`. filled: bool `[size]`.
    """

    features: Tensor
    groups: Tensor
    filled: Tensor
    position: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("features", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("groups", torch.full((size,), -1))
        self.register_buffer("filled", torch.zeros(size, dtype=torch.bool))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, features: Tensor, groups: Tensor | None = None) -> None:
        """Write N features over the oldest ones; N is at most the size.

        Args:
            features: `[N, dim]`. groups: int64 `[N]`, such as hashes of texts; see `row_hash`.
        """
        count, size = len(features), len(self.features)
        if count > size:
            raise ValueError(f"{count} features do not fit into a queue of {size}; make it larger than the batch")
        slots = (self.position + torch.arange(count, device=self.position.device)) % size
        self.features[slots] = features.detach().to(self.features.dtype)
        self.filled[slots] = True
        if groups is not None:
            self.groups[slots] = groups
        self.position.copy_((self.position + count) % size)


def momentum_target(similarity: Tensor, target: Tensor, share: float) -> Tensor:
    """Soft target `[N, M]` from a momentum twin: `share softmax(similarity) + (1 - share) target` (ALBEF, MISS).

    Args:
        similarity: `[N, M]`, logits of the twin; no gradient is taken.
        target: `[N, M]`; its rows are normalized to sum to 1.
        share: weight of the twin's opinion; 0 gives the target.
    """
    own = target / target.sum(1, keepdim=True).clamp_min(torch.finfo(similarity.dtype).tiny)
    return share * similarity.detach().softmax(1) + (1 - share) * own
