"""The slow twin."""

import pytest
import torch

from medvlp.models import MomentumEncoder


def test_after_n_steps_it_has_gone_the_share_that_it_should():
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.zero_()
        twin = MomentumEncoder(module, decay=0.995)
        module.weight.fill_(1.0)
    for _ in range(100):
        twin.update(module)
    assert twin.twin.weight.item() == pytest.approx(1 - 0.995**100, abs=1e-5)


def test_it_never_learns_and_never_trains():
    twin = MomentumEncoder(torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Dropout(0.5)))
    torch.nn.ModuleList([twin]).train()
    assert not any(m.training for m in twin.modules())
    assert not any(p.requires_grad for p in twin.parameters())
    assert not twin(torch.randn(3, 2, requires_grad=True)).requires_grad


def test_running_means_are_copied():
    module = torch.nn.BatchNorm1d(2)
    twin = MomentumEncoder(module)
    module(torch.randn(8, 2) + 5)
    twin.update(module)
    torch.testing.assert_close(twin.twin.running_mean, module.running_mean)
