"""What waits for the device is counted; what does not is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medvlp.training.host_syncs import HostSyncs

ONES = torch.ones(4)


@pytest.mark.parametrize(
    "sync",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0]),
        lambda x: bool(x.any()),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x.masked_select(x > 0),
        lambda x: x.repeat_interleave(x.long()),
        lambda x: x.clone().index_put_((x > 0,), torch.ones(4)),
        lambda x: torch.equal(x, x),
    ],
)
def test_syncs_are_found(sync: Callable[[Tensor], object]) -> None:
    with HostSyncs() as syncs:
        sync(ONES)
    assert len(syncs.found) == 1, syncs.found


def test_the_rest_is_not() -> None:
    parameter = torch.ones(4, 4, requires_grad=True)
    with HostSyncs() as syncs:
        loss = (parameter[torch.tensor([0, 2])] @ ONES).masked_fill(torch.tensor([True, False]), 0).sum()
        loss.backward()
        parameter.detach().to(torch.bfloat16).where(parameter > 0, 0).cumsum(0)
    assert syncs.found == []
