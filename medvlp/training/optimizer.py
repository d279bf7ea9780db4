"""AdamW, the learning rate as a pure function of the step, and the moving average of the weights.

A rate that follows from the step needs no scheduler state to resume.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from medvlp.training.recipe import LoopRecipe
from medvlp.training.task import ParameterGroup


def make_optimizer(groups: Sequence[ParameterGroup], settings: LoopRecipe) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019) on what is trainable; weight decay on matrices and kernels only.

    Biases, norms and scales (one axis or none) are not decayed: there zero is no simpler value than another.
    """
    parts: list[dict[str, Any]] = []
    for group in groups:
        matrices = [p for p in group.parameters if p.ndim >= 2]
        vectors = [p for p in group.parameters if p.ndim < 2]
        parts.append({"params": matrices, "weight_decay": settings.weight_decay, "rate_scale": group.rate_scale})
        parts.append({"params": vectors, "weight_decay": 0.0, "rate_scale": group.rate_scale})
    # Fused: one pass over each parameter, and no host read of the step count, on CPU and GPU alike.
    used = [part for part in parts if part["params"]]
    return AdamW(used, lr=settings.learning_rate, betas=(0.9, 0.98), eps=1e-8, fused=True)


def learning_rate(step: int, settings: LoopRecipe, total_steps: int) -> float:
    """The rate of step `step` (from 0): linear warm-up to the peak, then half a cosine down to zero.

        r(s) = r (s + 1) / w                              s < w
        r(s) = r (1 + cos(pi (s - w) / (S - w))) / 2      s >= w

    with w warm-up steps of S in all. A run shorter than its warm-up keeps a tenth of its steps for it.

    Examples:
        >>> settings = LoopRecipe(learning_rate=1.0, warmup_steps=2)
        >>> [round(learning_rate(step, settings, total_steps=6), 2) for step in range(6)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    warmup = settings.warmup_steps if settings.warmup_steps < total_steps else total_steps // 10
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total_steps - warmup)))


def set_learning_rate(optimizer: Any, rate: float) -> None:
    """Give every parameter group the rate, times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_scale", 1.0)  # a state of an earlier version has no scale


class MovingAverage:
    """Averages trainable parameters and running statistics: `a <- a + (1 - d_s) (w - a)` after step s.

    The decay is `d_s = min(d, (1 + s) / (10 + s))`: a young average forgets fast, so that it does not carry the random
    weights it began with.

    Args:
        model: whose weights are followed.
        decay: d.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        floats = {name: b for name, b in model.named_buffers() if b.is_floating_point()}
        self._live: dict[str, Tensor] = {n: p for n, p in model.named_parameters() if p.requires_grad} | floats
        self.average = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights after step `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self._live.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the model has the averaged weights; afterwards its own, bit for bit."""
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
