"""The precision in which losses are summed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Half-precision tensors in float32, others as they are: exponentials and long sums need the digits.

    Examples:
        >>> at_least_float32(torch.zeros(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def without_autocast(x: Tensor) -> AbstractContextManager:
    """A context in which products keep the precision of their operands, on the device of `x`.

    Examples:
        >>> a = torch.eye(2)
        >>> with torch.autocast("cpu", torch.bfloat16), without_autocast(a):
        ...     (a @ a).dtype
        torch.float32
    """
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Products `[..., N, M]` of unit vectors `[..., N, D]` and `[..., M, D]`, in at least float32 under autocast too.

    bfloat16 keeps 8 bits: a cosine of 0.9 is off by 0.002, and a scale of 100 makes 0.2 of it in the logit.

    Examples:
        >>> cosines(torch.eye(2), torch.eye(2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    with without_autocast(a):
        return at_least_float32(a) @ at_least_float32(b).transpose(-1, -2)
