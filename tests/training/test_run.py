"""What a run says while it validates."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from medvlp.training.pretraining import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.run_log import RunLog


@pytest.mark.parametrize(
    ("overrides", "standing"),
    [
        ([], r" \((best so far|best 0\.\d{4} at step \d)\)"),
        (["training.keep=last", "training.patience=5"], r" \((best so far|best 0\.\d{4} at step \d)\)"),
        (["training.keep=last"], ""),
    ],
)
def test_a_best_is_named_only_where_something_depends_on_it(
    tiny_recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    standing: str,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(RunLog, "say", lambda log, text: said.append(text))
    recipe = tiny_recipe("training.max_steps=6", "training.validate_every=2", *overrides)
    pretrain(recipe, tmp_path / "run", progress=False)
    steps = [line for line in said if line.startswith("step")]
    assert len(steps) == 3
    assert all(re.fullmatch(rf"step \d: auroc 0\.\d{{4}}{standing}", line) for line in steps), steps
