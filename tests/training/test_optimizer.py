"""The schedule at hand-computed steps, which parameters are decayed, and the moving average against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medvlp.training.optimizer import MovingAverage, learning_rate, make_optimizer, set_learning_rate
from medvlp.training.recipe import TrainingRecipe
from medvlp.training.task import ParameterGroup


def group(model: nn.Module, rate_scale: float = 1.0) -> ParameterGroup:
    return ParameterGroup([p for p in model.parameters() if p.requires_grad], rate_scale)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.25), (3, 1.0), (4, 1.0), (8, 0.5), (6, 0.5 * (1 + 2**-0.5)), (11, 0.5 * (1 - 0.9238795325112867))],
)
def test_warm_up_then_cosine(step: int, expected: float) -> None:
    settings = TrainingRecipe(learning_rate=1.0, warmup_steps=4)
    assert learning_rate(step, settings, total_steps=12) == pytest.approx(expected)


def test_a_run_shorter_than_its_warm_up_still_comes_down() -> None:
    settings = TrainingRecipe(learning_rate=1.0, warmup_steps=100)
    rates = [learning_rate(step, settings, total_steps=20) for step in range(20)]
    assert rates[1] == 1.0
    assert rates[-1] < 0.02
    assert learning_rate(0, settings, total_steps=1) == 1.0


def test_only_matrices_are_decayed_and_frozen_parameters_left_out() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.LayerNorm(2), nn.Linear(2, 2))
    model[2].bias.requires_grad_(False)
    optimizer = make_optimizer([group(model)], TrainingRecipe(weight_decay=0.1))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {
        id(model[0].weight): 0.1,
        id(model[2].weight): 0.1,
        id(model[0].bias): 0.0,
        id(model[1].weight): 0.0,
        id(model[1].bias): 0.0,
    }


def test_rate_reaches_the_update() -> None:
    model = nn.Linear(1, 1, bias=False)
    optimizer = make_optimizer([group(model)], TrainingRecipe(weight_decay=0.0))
    before = model.weight.detach().clone()
    set_learning_rate(optimizer, 0.125)
    model(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    assert (before - model.weight).item() == pytest.approx(0.125, rel=1e-4)  # Adam's first step is the rate itself


def test_a_group_learns_at_its_fraction_of_the_rate() -> None:
    head, encoder = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    optimizer = make_optimizer([group(head), group(encoder, 0.25)], TrainingRecipe(weight_decay=0.0))
    set_learning_rate(optimizer, 0.5)
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.125]


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
