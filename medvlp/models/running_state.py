"""What training updates without a gradient: an average of weights, a queue of features, a count of words."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.models.ranks import ONE_RANK, Ranks


class MomentumEncoder(nn.Module):
    """Momentum encoder, the moving average of a module: `w' <- d w' + (1 - d) w` (MoCo; ALBEF, Li et al. 2021).

    It has no gradient and stays in evaluation mode. Its weights are part of the method's, so that a resumed
    run goes on with them. Buffers (running means of batch norms) are copied as they are.

    Args:
        module: the module to follow. decay: d.

    Examples:
        >>> encoder = nn.Linear(1, 1)
        >>> momentum = MomentumEncoder(encoder, decay=0.9)
        >>> _ = encoder.weight.data.add_(1.0)
        >>> momentum.update(encoder)
        >>> round(encoder.weight.item() - momentum.twin.weight.item(), 3)  # what is left of the difference
        0.9
    """

    def __init__(self, module: nn.Module, decay: float = 0.995) -> None:
        super().__init__()
        self.twin, self.decay = deepcopy(module), decay
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> MomentumEncoder:
        """Stays in evaluation mode whatever the method does."""
        return super().train(False)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module; call once before each step's forward."""
        for slow, fast in zip(self.twin.parameters(), module.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.decay)
        for slow_buffer, buffer in zip(self.twin.buffers(), module.buffers(), strict=True):
            slow_buffer.copy_(buffer)

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the momentum encoder."""
        return self.twin(*args, **kwargs)


class FeatureQueue(nn.Module):
    """The last `size` features and, where given, a group number for each (MoCo, He et al. 2020).

    The write position is a tensor, so that a step never waits for the device; the batch size need not divide the size
    of the queue. Until the queue is full, `filled` marks the rows in use: pass it as `valid`.

    Args:
        size: features kept. dim: their width.

    Attributes:
        features: `[size, dim]`, unit vectors. groups: int64 `[size]`. filled: bool `[size]`.

    Examples:
        >>> queue = FeatureQueue(size=4, dim=2)
        >>> queue.push(torch.eye(2))
        >>> queue.filled
        tensor([ True,  True, False, False])
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


class DocumentFrequency(nn.Module):
    """Inverse document frequency `log((1 + N) / (1 + n_c))` over the texts so far: n_c of N contain word c.

    Counted during training, without a pass over the corpus before it; a word of every text has weight 0. The
    counts are part of the weights, so that a resumed run goes on with them, and are whole numbers, which no moving
    average touches.

    Args:
        vocabulary: V.

    Attributes:
        texts: int64, N. holding: int64 `[V]`, n_c.

    Examples:
        >>> frequency = DocumentFrequency(2)
        >>> frequency.count(torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
        >>> frequency()  # what is in every text weighs nothing
        tensor([0.0000, 0.4055])
    """

    texts: Tensor
    holding: Tensor

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.register_buffer("texts", torch.zeros((), dtype=torch.int64))
        self.register_buffer("holding", torch.zeros(vocabulary, dtype=torch.int64))

    @torch.no_grad()
    def count(self, bag: Tensor, ranks: Ranks = ONE_RANK) -> None:
        """Count texts `[N, V]` of zeros and ones, those of all ranks; an empty text does not count."""
        self.texts += ranks.gather((bag.sum(1) > 0).sum()[None]).sum()
        self.holding += ranks.gather(bag.sum(0).long()[None]).sum(0)

    def forward(self) -> Tensor:
        """The weight of each word, float32 `[V]`, not negative."""
        return torch.log((1 + self.texts) / (1 + self.holding))
