"""Projection heads end on the unit sphere, in float32."""

import pytest
import torch

from medvlp.models import ProjectionHead


@pytest.mark.parametrize("hidden", [None, 12])
def test_unit_vectors_in_float32_under_autocast(hidden):
    head = ProjectionHead(8, 4, hidden)
    with torch.autocast("cpu", torch.bfloat16):
        out = head(torch.randn(3, 5, 8))
    assert out.shape == (3, 5, 4)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(3, 5))


def test_zero_stays_finite():
    assert ProjectionHead(8, 4)(torch.zeros(1, 8)).isfinite().all()
