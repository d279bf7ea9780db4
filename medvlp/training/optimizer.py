"""AdamW, and the learning rate as a pure function of the step, so that resuming needs no scheduler state."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import AdamW

from medvlp.training.recipe import TrainingRecipe


def make_optimizer(method: nn.Module, settings: TrainingRecipe) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019) on what is trainable; weight decay on matrices and kernels only.

    Biases, norms and scales (one axis or none) are not decayed: there zero is no simpler value than another.
    """
    trainable = [parameter for parameter in method.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    # Fused: one pass over each parameter, and no host read of the step count, on CPU and GPU alike.
    return AdamW([g for g in groups if g["params"]], lr=settings.learning_rate, betas=(0.9, 0.98), eps=1e-8, fused=True)


def learning_rate(step: int, settings: TrainingRecipe, total_steps: int) -> float:
    """The rate of step `step` (from 0): linear warm-up to the peak, then half a cosine down to zero.

        r(s) = r (s + 1) / w                              s < w
        r(s) = r (1 + cos(pi (s - w) / (S - w))) / 2      s >= w

    with w warm-up steps of S in all. A run shorter than its warm-up keeps a tenth of its steps for it.
    """
    warmup = settings.warmup_steps if settings.warmup_steps < total_steps else total_steps // 10
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total_steps - warmup)))


def set_learning_rate(optimizer: Any, rate: float) -> None:
    """Give every parameter group the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
