"""The average against its formula, applied and taken back bit for bit."""

from __future__ import annotations

import torch
from torch import nn

from medvlp.training.optimizer import MovingAverage


def test_average_follows_its_formula() -> None:
    model = nn.Linear(2, 1)
    average = MovingAverage(model, decay=0.9)
    expected = model.weight.detach().clone()
    for step in range(100):
        with torch.no_grad():
            model.weight.add_(torch.randn(1, 2))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.average["weight"], expected)


def test_running_statistics_are_averaged_and_frozen_weights_are_not_kept() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].requires_grad_(False)
    average = MovingAverage(model, decay=0.5)
    assert set(average.average) == {"1.weight", "1.bias", "1.running_mean", "1.running_var"}


def test_applied_inside_the_block_only() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(model, decay=0.5)
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for tensor in average.average.values():
        tensor.fill_(7)
    versions = model[0].weight._version
    with average.applied():
        assert (model[0].weight == 7).all()
        assert (model[1].running_mean == 7).all()
    assert all(torch.equal(tensor, own[name]) for name, tensor in model.state_dict().items())
    assert model[0].weight._version > versions  # caches keyed on the weights see the change


def test_continues_from_a_saved_average() -> None:
    model = nn.Linear(2, 2)
    average = MovingAverage(model, decay=0.5)
    average.load({"weight": torch.full((2, 2), 3.0), "bias": torch.zeros(2)})
    assert (average.average["weight"] == 3).all()
