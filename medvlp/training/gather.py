"""Gathering across ranks with gradients, so that a contrast sees the negatives of every rank."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

# torch 2.13 renamed both; the old names still work there, with a warning in every process.
_into_gathered = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_into_scattered = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


class AllRanks:
    """The `Ranks` of `medvlp.models.ranks` over the process group of `torch.distributed`.

    The gradient of a gathered row is the sum of its gradients on all ranks, which is what the row's owner gets back
    (a reduce-scatter). With gradients averaged over ranks (DDP), N ranks on B/N rows then give the loss and the
    gradients of one rank on B. Memory for scores is `B/N x B` on each rank.
    """

    def gather(self, rows: Tensor) -> Tensor:
        """`[n, ...]` -> `[N n, ...]`, in the order of the ranks.

        Args:
            rows: any dtype, of equal shape on all ranks. Integers and booleans are gathered without gradient.
        """
        if rows.dtype == torch.bool:
            return _all_gather(rows.view(torch.uint8)).view(torch.bool)
        return _Gather.apply(rows) if rows.is_floating_point() else _all_gather(rows)

    def first_row(self, rows: int) -> int:
        """Where this rank's `rows` rows begin among the gathered ones."""
        return dist.get_rank() * rows


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        return _all_gather(local)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows = len(gradient) // dist.get_world_size()
        mine = gradient.new_empty(rows, *gradient.shape[1:])
        _into_scattered(mine, gradient.contiguous())
        return mine


def _all_gather(local: Tensor) -> Tensor:
    everything = local.new_empty(dist.get_world_size() * len(local), *local.shape[1:])
    _into_gathered(everything, local.contiguous())
    return everything
