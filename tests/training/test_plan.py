"""A run that ends by the clock: how its steps are fitted, and that it stops, logs and saves as any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medvlp.training import plan as plan_file
from medvlp.training.plan import TrainingClock
from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError


class FakeTime:
    """A clock that the test moves: `tick` seconds pass at each reading."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 100.0, tick

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(plan_file, "time", fake)
    return fake


def test_only_what_runs_inside_counts(time: FakeTime) -> None:
    clock = TrainingClock(1)
    with clock.running():
        time.now += 4
        assert clock.seconds == 4
    time.now += 50
    with clock.running():
        time.now += 2
    assert clock.seconds == 6


def test_steps_are_fitted_to_what_is_left(time: FakeTime) -> None:
    clock = TrainingClock(1)
    with clock.running():
        time.now += 2  # a slow start, a thirtieth of the budget
        assert clock.fitted_steps(1, 1000) == 1000
        time.now += 4  # a tenth
        assert clock.fitted_steps(20, 1000) == 200
        assert clock.fitted_steps(20, 90) == 90
        time.now += 53.9
        assert clock.fitted_steps(200, 1000) == 201
        time.now += 0.2
        assert clock.fitted_steps(200, 1000) == 200
        assert clock.fitted_steps(200, 90) == 90


def test_without_a_budget_the_plan_stands(time: FakeTime) -> None:
    clock = TrainingClock(None)
    with clock.running():
        time.now += 1e6
    assert clock.fitted_steps(3, 7) == 7


def test_a_run_ends_when_its_time_is_spent(tiny_recipe: Callable[..., Recipe], tmp_path: Path, time: FakeTime) -> None:
    time.tick = 0.25
    recipe = tiny_recipe("training.epochs=1000", "training.max_minutes=0.1", "training.keep=last")
    out = pretrain(recipe, tmp_path / "run", progress=False)
    card = json.loads((out / "card.json").read_text())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    trained = [line for line in lines if line["split"] == "train"]
    assert 2 <= card["step"] < 4000
    assert 6 <= card["trained_seconds"] < 8
    assert card["samples"] == 8 * card["step"]
    assert trained[-1]["step"] == card["step"]
    assert trained[-1]["learning_rate"] < 0.35 * max(line["learning_rate"] for line in trained)  # the cosine came down
    assert not (out / "last").exists()
    weights = (out / "model.safetensors").stat().st_mtime_ns
    pretrain(recipe, out, resume=True, progress=False)  # no time is left: no further step
    assert json.loads((out / "card.json").read_text())["step"] == card["step"]
    assert (out / "model.safetensors").stat().st_mtime_ns >= weights


def test_ranks_cannot_share_a_clock(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="max_steps"):
        pretrain(tiny_recipe("training.max_minutes=1", "training.devices=2"), tmp_path / "run", progress=False)


def test_the_last_model_is_kept_whatever_the_validation_says(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    settings = ["training.max_steps=6", "training.validate_every=2", "training.learning_rate=0.05"]
    best = pretrain(tiny_recipe(*settings), tmp_path / "best", progress=False)
    last = pretrain(tiny_recipe(*settings, "training.keep=last"), tmp_path / "last", progress=False)
    assert json.loads((last / "card.json").read_text())["step"] == 6
    assert (last / "model.safetensors").read_bytes() == (best / "last" / "model.safetensors").read_bytes()
