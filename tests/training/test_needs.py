"""Data without what a method learns from are refused before the first step, with the data sets that have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medvlp.data import Store
from medvlp.training.model_folder import load_model
from medvlp.training.pretrain import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError


@pytest.mark.parametrize(
    ("method", "missing"),
    [
        ("clip", r"CLIP learns from reports, .* Reports come with mimic_cxr"),
        (
            "conceptclip",
            r"learns from concepts and reports, .* Reports that name findings in English come with mimic_cxr",
        ),
    ],
)
def test_a_store_without_it_is_refused(
    tiny_recipe: Callable[..., Recipe],
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    missing: str,
) -> None:
    silent = Store(tiny_store.path)
    silent.table["report"] = -1
    monkeypatch.setattr(Store, "open", lambda path: silent)
    with pytest.raises(RecipeError, match=missing):
        pretrain(tiny_recipe(f"method={method}"), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_store_with_concepts_trains(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = tiny_recipe("method=conceptclip", "training.max_steps=1", "training.log_every=1")
    assert load_model(pretrain(recipe, tmp_path / "run", progress=False), device="cpu").card["step"] == 1
