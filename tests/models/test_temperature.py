"""The scale is exponentiated and bounded."""

import math

import pytest
import torch

from medvlp.models import SigmoidScale, Temperature
from medvlp.models.temperature import _Bounded
from medvlp.objectives import sigmoid_contrast


def test_it_starts_at_the_inverse_of_the_temperature():
    assert Temperature(0.07)(torch.ones(())).item() == pytest.approx(1 / 0.07, rel=1e-5)


@pytest.mark.parametrize(("beyond", "bound", "outwards"), [(9.0, 100, 1), (-2.0, 1, -1)])
def test_it_is_bounded_and_learns_its_way_back_alone(beyond, bound, outwards):
    temperature = Temperature()
    with torch.no_grad():
        temperature.log_scale.fill_(beyond)
    scale = temperature.scale
    assert scale.item() == pytest.approx(bound, rel=1e-5)
    (-outwards * scale).backward(retain_graph=True)  # descent would go further out
    assert temperature.log_scale.grad.item() == 0
    (outwards * scale).backward()
    assert temperature.log_scale.grad.item() == pytest.approx(outwards * bound, rel=1e-5)


def test_between_the_bounds_it_learns_both_ways():
    temperature = Temperature(0.1).double()
    assert torch.autograd.gradcheck(lambda x: _Bounded.apply(x, 0.0, 4.6).exp(), temperature.log_scale)


@pytest.mark.parametrize("start", [0.0, 0.001, 2.0])
def test_a_start_out_of_bounds_is_refused_and_not_changed_in_silence(start):
    with pytest.raises(ValueError, match=r"\[1, 100\]"):
        Temperature(start, learnable=False)


def test_a_temperature_of_a_paper_stays():
    assert not Temperature(0.1, learnable=False).log_scale.requires_grad
    assert Temperature(0.1).log_scale.requires_grad


def test_the_start_makes_negatives_free():
    logits = SigmoidScale().double()(torch.zeros(6, 6, dtype=torch.float64))
    expected = math.log1p(math.exp(10)) + 5 * math.log1p(math.exp(-10))
    assert sigmoid_contrast(logits, torch.eye(6).bool()).item() == pytest.approx(expected, abs=1e-6)
