"""`MovingAverage`: an exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Averages trainable parameters and running statistics: `a <- a + (1 - d_s) (w - a)` after step s.

    The decay is `d_s = min(d, (1 + s) / (10 + s))`: a young average forgets fast, so that it does not carry the random
    weights it began with.

    Args:
        method: whose weights are followed.
        decay: d.
    """

    def __init__(self, method: nn.Module, decay: float) -> None:
        self.decay = decay
        floats = {name: b for name, b in method.named_buffers() if b.is_floating_point()}
        self._live: dict[str, Tensor] = {n: p for n, p in method.named_parameters() if p.requires_grad} | floats
        self.average = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights after step `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self._live.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the method has the averaged weights; afterwards its own, bit for bit."""
        own = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._set(self.average)
        try:
            yield
        finally:
            self._set(own)

    def load(self, average: dict[str, Tensor]) -> None:
        """Continue from a saved `average`."""
        for name, tensor in self.average.items():
            tensor.copy_(average[name])

    @torch.no_grad()
    def _set(self, values: dict[str, Tensor]) -> None:
        for name, tensor in self._live.items():
            tensor.copy_(values[name])
