"""Every file of recipes/ is a recipe or a plan that validates, and begins with the commands that run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvlp.experiments.comparison import comparison_from_plan
from medvlp.experiments.plan import ComparisonPlan, ExperimentPlan
from medvlp.methods.base import METHODS
from medvlp.training.assemble import finding_ids
from medvlp.training.finetune_recipe import FinetuneRecipe
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_file import RecipeFile, read_settings, recipe_folder

FILES = sorted(recipe_folder().glob("*.yaml"))


def kind(path: Path) -> type[RecipeFile]:
    kinds: dict[str, type[RecipeFile]] = {
        "models": ExperimentPlan,
        "methods": ComparisonPlan,
        "task": FinetuneRecipe,
    }
    settings = read_settings(path)
    return next((found for key, found in kinds.items() if key in settings), Recipe)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_recipe_is_valid_and_says_how_it_is_run(path: Path) -> None:
    recipe = kind(path).load(path)
    assert path.read_text().startswith(("# medvlp", "# make demo"))
    if isinstance(recipe, Recipe):
        assert len(finding_ids(recipe)) > 1


@pytest.mark.parametrize("path", [p for p in FILES if kind(p) is ExperimentPlan], ids=lambda p: p.stem)
def test_plans_name_recipes_that_are_there(path: Path) -> None:
    plan = ExperimentPlan.load(path)
    named = [*plan.models.values(), *([plan.segment.recipe] if plan.segment else [])]
    assert [name for name in named if not (path.parent / name).is_file()] == []


def test_the_models_of_a_plan_are_given_the_same_chance() -> None:
    """The baseline is honest only on the same data, encoder and budget."""
    for path in FILES:
        if kind(path) is not ExperimentPlan:
            continue
        recipes = [Recipe.load(path.parent / name) for name in ExperimentPlan.load(path).models.values()]
        for part in ("data", "image_encoder", "findings", "training"):
            assert len({repr(getattr(recipe, part)) for recipe in recipes}) == 1, (path.name, part)


@pytest.mark.parametrize("path", [p for p in FILES if kind(p) is ExperimentPlan], ids=lambda p: p.stem)
def test_validation_over_several_hospitals_chooses_no_model(path: Path) -> None:
    plan = ExperimentPlan.load(path)
    kept = {Recipe.load(path.parent / name).training.keep for name in plan.models.values()}
    assert kept == {"last" if len(plan.data) > 1 else "best"}


@pytest.mark.parametrize("path", [p for p in FILES if kind(p) is ComparisonPlan], ids=lambda p: p.stem)
def test_comparisons_hold_every_method_on_the_same_data_encoder_and_budget(path: Path) -> None:
    comparison = comparison_from_plan(ComparisonPlan.load(path), path.parent)
    assert not comparison.baseline_added
    recipes = list(comparison.recipes.values())
    assert {recipe.method for recipe in recipes} == set(METHODS.names())
    for part in ("image_encoder", "findings", "training"):
        assert len({repr(getattr(recipe, part)) for recipe in recipes}) == 1, part
    assert len({(recipe.data.batch_size, recipe.data.views) for recipe in recipes}) == 1
