"""The schedule at hand-computed steps, and which parameters are decayed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medvlp.training.optimizer import learning_rate, make_optimizer, set_learning_rate
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
