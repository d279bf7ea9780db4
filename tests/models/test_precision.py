"""Cosines keep their digits under autocast."""

import torch
from torch.nn import functional as F

from medvlp.models import at_least_float32, cosines


def test_autocast_does_not_round_cosines():
    a, b = (F.normalize(torch.randn(2, 5, 64), dim=-1) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        rounded, kept = a @ b.transpose(1, 2), cosines(a, b)
    assert rounded.dtype == torch.bfloat16
    assert kept.dtype == torch.float32
    torch.testing.assert_close(kept, a @ b.transpose(1, 2))


def test_double_stays_double():
    assert at_least_float32(torch.ones(1, dtype=torch.float64)).dtype == torch.float64
    assert at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype == torch.float32
