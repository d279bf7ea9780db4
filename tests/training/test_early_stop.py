"""When a value is better, and when it is time to stop."""

from __future__ import annotations

import math

import pytest

from medvlp.training.validation import BestModel


@pytest.mark.parametrize(("larger", "values"), [(True, [0.5, 0.7, 0.7, 0.6]), (False, [0.5, 0.3, 0.3, 0.4])])
def test_best_value_and_patience(larger: bool, values: list[float]) -> None:
    best = BestModel(larger, patience=2)
    outcomes = [(best.update(value, step), best.should_stop) for step, value in enumerate(values)]
    assert outcomes == [(True, False), (True, False), (False, False), (False, True)]
    assert (best.value, best.step) == (values[1], 1)


def test_an_undefined_value_is_never_better() -> None:
    best = BestModel(True, patience=None)
    assert not best.update(math.nan, 0)
    assert best.update(0.1, 1)
    assert not best.should_stop


def test_continues_with_what_was_waited() -> None:
    best = BestModel(True, patience=2)
    best.update(0.9, 1)
    best.update(0.8, 2)
    again = BestModel(True, patience=2)
    again.load(best.state())
    again.update(0.85, 3)
    assert again.should_stop


def test_where_a_validation_stands_is_said_with_few_digits() -> None:
    best = BestModel(False)
    best.update(math.nan, 2)
    assert best.standing(2) == "none has had a value"
    best.update(0.43749999999999994, 4)
    assert best.standing(4) == "best so far"
    best.update(0.5, 6)
    assert best.standing(6) == "best 0.4375 at step 4"
