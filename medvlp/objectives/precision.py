"""The precision in which losses are summed."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Half-precision tensors in float32, others as they are: exponentials and long sums need the digits."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Products `[..., N, M]` of unit vectors `[..., N, D]` and `[..., M, D]`, in at least float32 under autocast too.

    bfloat16 keeps 8 bits: a cosine of 0.9 is off by 0.002, and a scale of 100 makes 0.2 of it in the logit.
    """
    with torch.autocast(a.device.type, enabled=False):
        return at_least_float32(a) @ at_least_float32(b).transpose(-1, -2)
