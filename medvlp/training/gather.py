"""Gathering across ranks with gradients, so that a contrast sees the negatives of every rank."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def gather(local: Tensor) -> Tensor:
    """Rows of all ranks, `[b, ...]` -> `[N b, ...]`, in the order of the ranks; with one rank, the tensor itself.

    A rank compares its own b rows with the N b gathered ones: memory for scores is `b x N b`, never `(N b)^2`.

    The gradient of a gathered row is the sum of its gradients on all ranks, which is what the row's owner gets back
    (a reduce-scatter). With the loss of each rank a mean over its own rows, and gradients averaged over ranks (DDP),
    N ranks on B/N rows give the loss and the gradients of one rank on B. A mean over fewer rows (masked ones) has to
    divide by the mean count of all ranks instead of its own: `gather(count[None]).mean()`.

    Args:
        local: any dtype; of equal shape on all ranks. Integers and booleans are gathered without gradient.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return local
    if local.dtype == torch.bool:
        return _all_gather(local.view(torch.uint8)).view(torch.bool)
    return _Gather.apply(local) if local.is_floating_point() else _all_gather(local)


def first_row(rows: int) -> int:
    """Where this rank's `rows` rows begin among the gathered ones; 0 with one rank."""
    return dist.get_rank() * rows if dist.is_initialized() else 0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        return _all_gather(local)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows = len(gradient) // dist.get_world_size()
        mine = gradient.new_empty(rows, *gradient.shape[1:])
        dist.reduce_scatter_tensor(mine, gradient.contiguous())
        return mine


def _all_gather(local: Tensor) -> Tensor:
    everything = local.new_empty(dist.get_world_size() * len(local), *local.shape[1:])
    dist.all_gather_into_tensor(everything, local.contiguous())
    return everything
