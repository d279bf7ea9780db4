"""`MomentumTwin`: a slow copy of a module, which gives targets and keys."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn


class MomentumTwin(nn.Module):
    """Exponential moving average of a module: `w' <- d w' + (1 - d) w` (MoCo; ALBEF, Li et al. 2021).

    It never learns by gradient and stays in evaluation mode. Its weights are part of the method's, so that a resumed
    run goes on with them. Buffers (running means of batch norms) are copied as they are.

    Args:
        module: what is followed. decay: d.
    """

    def __init__(self, module: nn.Module, decay: float = 0.995) -> None:
        super().__init__()
        self.twin, self.decay = deepcopy(module), decay
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> MomentumTwin:
        """Stays in evaluation mode whatever the method does."""
        return super().train(False)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module; call once before each step's forward."""
        for slow, fast in zip(self.twin.parameters(), module.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.decay)
        for kept, own in zip(self.twin.buffers(), module.buffers(), strict=True):
            kept.copy_(own)

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The twin's output."""
        return self.twin(*args, **kwargs)
