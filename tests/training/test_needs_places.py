"""A method that learns where findings are is refused reports that do not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import medvlp.data.store_texts
from medvlp.knowledge import PLACES
from medvlp.training.pretrain import pretrain
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError


@pytest.mark.parametrize("method", ["medslip", "medklip"])
def test_reports_that_name_no_place_are_refused(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def unspecified(reports: object, findings: tuple[str, ...]) -> np.ndarray:
        places = np.full((len(reports) + 1, len(findings), len(PLACES)), -1, np.int8)  # type: ignore[arg-type]
        places[..., PLACES.index("unspecified")] = 1
        return places

    monkeypatch.setattr(medvlp.data.store_texts, "_places", unspecified)
    with pytest.raises(RecipeError, match=r"learns from places, and none of the 32 training images"):
        pretrain(tiny_recipe(f"method={method}"), tmp_path / "run", progress=False)


def test_reports_that_name_places_are_taken(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    out = pretrain(tiny_recipe("method=medslip", "training.max_steps=1"), tmp_path / "run", progress=False)
    assert (out / "model.safetensors").exists()
