"""The verb: its exit statuses and what it says, without training anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.io.atomic_write import DiskFullError
from medvlp.training.loss_buffer import DivergedError
from medvlp.training.recipe import Recipe

RECIPE = "method: clip\nfindings: phantom15\ndata: {store: nowhere}\n"


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return str(tmp_path / "recipe.yaml")


def stand_in(monkeypatch: pytest.MonkeyPatch, outcome: BaseException | None) -> list[tuple[Recipe, Any]]:
    calls = []

    def pretrain(recipe: Recipe, out: Path, **settings: Any) -> None:
        calls.append((recipe, settings))
        if outcome is not None:
            raise outcome
        out.mkdir()
        card = {"method": "clip", "step": 9, "auroc": 0.7512, "notice": "Trained on generated data."}
        (out / "card.json").write_text(json.dumps(card))

    monkeypatch.setattr("medvlp.training.pretraining.pretrain", pretrain)
    return calls


def test_overrides_and_resume_reach_the_run(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, None)
    command = ["pretrain", recipe, "training.epochs=3", "seed=4", "--out", str(tmp_path / "run"), "--resume"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert (calls[0][0].training.epochs, calls[0][0].seed) == (3, 4)
    assert calls[0][1] == {"resume": True, "progress": True}
    assert "clip at step 9, validation auroc 0.751" in result.output
    assert "generated data" in result.output


def test_json_is_all_that_goes_to_a_program(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, None)
    result = CliRunner().invoke(app, ["pretrain", recipe, "--out", str(tmp_path / "run"), "--json"])
    assert json.loads(result.stdout)["step"] == 9
    assert calls[0][1]["progress"] is False


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        (DivergedError("Training diverged at step 3"), 1, "diverged at step 3"),
        (DiskFullError(28, "No space left on device"), 1, "Make room, then add --resume"),
        (KeyboardInterrupt(), 1, "--resume continues"),
    ],
)
def test_failures_end_with_one_line(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: BaseException, status: int, said: str
) -> None:
    stand_in(monkeypatch, outcome)
    result = CliRunner().invoke(app, ["pretrain", recipe, "--out", str(tmp_path / "run")])
    assert result.exit_code == status
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["training.epoch=3"], "did you mean training.epochs?"),
        ([], "no store at nowhere"),
        (["training.epochs"], "not of the form key.sub=value"),
    ],
)
def test_a_wrong_recipe_is_a_usage_error(recipe: str, tmp_path: Path, arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["pretrain", recipe, *arguments, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "run").exists()
