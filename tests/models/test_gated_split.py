"""Two streams that add up."""

import pytest
import torch

from medvlp.models import DisentanglingGate


@pytest.mark.parametrize("bounded", [True, False])
def test_the_streams_add_up_to_the_input(bounded):
    torch.manual_seed(0)
    split, x = DisentanglingGate(16, bounded).double(), torch.randn(2, 9, 16, dtype=torch.float64)
    what, where = split(x)
    torch.testing.assert_close(what + where, x)
    gate = split.gate(x)
    torch.testing.assert_close(what, (gate.sigmoid() if bounded else gate) * x)


def test_a_bounded_stream_is_a_share_of_its_input():
    split, x = DisentanglingGate(16), torch.randn(2, 9, 16) * 10
    with torch.no_grad():
        what, _ = split(x)
        free, _ = DisentanglingGate(16, bounded=False)(x)
    assert (what.abs() <= x.abs()).all()
    assert (free.abs() > x.abs()).any()
