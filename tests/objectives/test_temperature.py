"""The scale is exponentiated and bounded."""

import pytest
import torch

from medvlp.objectives.temperature import Temperature


def test_it_starts_at_the_inverse_of_the_temperature():
    assert Temperature(0.07)(torch.ones(())).item() == pytest.approx(1 / 0.07, rel=1e-5)


def test_it_is_bounded_and_stops_learning_there():
    temperature = Temperature()
    with torch.no_grad():
        temperature.log_scale.fill_(9.0)
    scale = temperature.scale
    assert scale.item() == pytest.approx(100, rel=1e-5)
    scale.backward()
    assert temperature.log_scale.grad.item() == 0


def test_a_temperature_of_a_paper_stays():
    assert not Temperature(0.1, learnt=False).log_scale.requires_grad
    assert Temperature(0.1).log_scale.requires_grad
