"""`Comparison`: recipes that are trained under one budget, and the protocol that all of them are measured by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvlp.experiments.plan import ComparisonPlan, MethodPlan, ZeroShotPlan
from medvlp.knowledge import name_of
from medvlp.training.assemble import check_recipe, finding_ids
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError, name_nearest
from medvlp.training.recipe_file import deep_merge, read_settings, with_overrides

BASELINE = "unimodal"
_VALIDATIONS = 4  # points of a run's curve
_VALIDATED = 128  # images of each
_ENDLESS = 1_000_000  # epochs; the budget ends a run, not they


@dataclass(frozen=True)
class Budget:
    """What one run may use: so many samples, or so many minutes in steps."""

    samples: int | None = None
    minutes: float | None = None

    def __str__(self) -> str:
        return f"{self.samples:,} samples" if self.samples else f"{self.minutes:g} minutes of training steps"

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe under this budget: warm-up and cosine fit it, the last model is kept, and little is validated."""
        training = recipe.training
        changes: dict[str, Any] = {"epochs": _ENDLESS, "keep": "last", "patience": None, "max_steps": None}
        if self.samples:
            steps = max(1, round(self.samples / (recipe.data.batch_size * training.accumulate)))
            changes |= {
                "max_steps": steps,
                "max_minutes": None,
                "warmup_steps": min(training.warmup_steps, steps // 10),
                "validate_every": -(-steps // _VALIDATIONS),
                "checkpoint_every": -(-steps // 2),
                "log_every": min(training.log_every, max(1, steps // 20)),
            }
        else:
            changes |= {"max_minutes": self.minutes, "warmup_steps": min(training.warmup_steps, 50)}
        data = recipe.data.model_copy(
            update={"validate_images": min(recipe.data.validate_images or _VALIDATED, _VALIDATED)}
        )
        return recipe.model_copy(update={"training": training.model_copy(update=changes), "data": data})


@dataclass(frozen=True)
class Comparison:
    """Which recipes are compared, and how.

    Attributes:
        title, summary, limits: of the page.
        recipes: name in the table -> its recipe, under the budget.
        budget, seeds, resamples: of each.
        zero_shot: source, split, views, labels and large findings.
        findings: that every method is scored on.
        reference: the method that the others are held against. baseline: the unimodal one.
        baseline_added: whether the baseline was added, since none of the recipes is one.
    """

    title: str
    summary: str
    limits: tuple[str, ...]
    recipes: dict[str, Recipe]
    budget: Budget
    seeds: int
    resamples: int
    zero_shot: ZeroShotPlan
    findings: tuple[str, ...]
    reference: str
    baseline: str
    baseline_added: bool

    def with_store(self, store: Path) -> Comparison:
        """The same with every recipe on one store."""
        recipes = {
            n: r.model_copy(update={"data": r.data.model_copy(update={"store": store})})
            for n, r in self.recipes.items()
        }
        return replace(self, recipes=recipes)


def comparison_from_plan(
    plan: ComparisonPlan, folder: Path, overrides: Sequence[str] = (), chosen: Sequence[str] | None = None
) -> Comparison:
    """The comparison of a plan whose recipe stands in `folder`, or of some of its lines.

    Where none of the chosen lines is unimodal, the plan's own line is added, or one of the shared recipe and changes
    alone: a plan that is split over machines has the same baseline on each.

    Raises:
        RecipeError: a line, recipe, method or option that is wrong; says which line of the plan.
    """
    for name in chosen or ():
        if name not in plan.methods:
            raise RecipeError(name_nearest("--methods", name, plan.methods))
    lines = {name: plan.methods[name] for name in chosen or plan.methods}
    shared = deep_merge(read_settings(folder / plan.recipe), {"data": {"store": "store"}})

    def recipe_of(name: str, line: MethodPlan) -> Recipe:
        settings = deep_merge(shared, {"method": line.method or name})
        settings = deep_merge(deep_merge(deep_merge(settings, plan.changes), line.changes), {"options": line.options})
        return Recipe.from_dict(with_overrides(settings, overrides), f"methods.{name}")

    recipes = {name: recipe_of(name, line) for name, line in lines.items()}
    fallback = None
    if _baseline(recipes) is None:
        own = next((name for name, line in plan.methods.items() if (line.method or name) == BASELINE), None)
        whole = recipe_of(own, plan.methods[own]) if own else _as_unimodal(recipe_of(BASELINE, MethodPlan()))
        fallback = own or BASELINE, whole
    return new_comparison(
        recipes,
        Budget(plan.samples, plan.minutes),
        plan.seeds,
        plan.zero_shot,
        fallback=fallback,
        reference=plan.reference,
        resamples=plan.resamples,
        title=plan.title,
        summary=plan.summary,
        limits=plan.limits,
    )


def new_comparison(
    recipes: Mapping[str, Recipe],
    budget: Budget,
    seeds: int,
    zero_shot: ZeroShotPlan,
    *,
    fallback: tuple[str, Recipe] | None = None,
    reference: str | None = None,
    resamples: int = 1000,
    title: str = "Methods compared",
    summary: str = "",
    limits: tuple[str, ...] = (),
) -> Comparison:
    """Check the recipes, add the unimodal baseline where there is none, and put all under the budget.

    Args:
        recipes: name in the table -> recipe.
        budget, seeds, zero_shot, reference, resamples: as in `Comparison`.
        fallback: name and recipe of the baseline where none of the recipes is one; None makes it of the first recipe.
        title, summary, limits: of the page.

    Raises:
        RecipeError: a wrong method or option, an unknown reference, two names for one folder, or no finding that all
            recipes share.
        UnknownNameError: no such finding.
    """
    recipes = dict(recipes)
    first, baseline = next(iter(recipes)), _baseline(recipes)
    baseline_added = baseline is None
    if baseline is None:
        baseline, plain = fallback or (BASELINE, _as_unimodal(recipes[first]))
        if baseline in recipes:
            trained = f"{baseline} is trained with {recipes[baseline].method}"
            raise RecipeError(f"{trained}, and the baseline would have the same name; rename the line.")
        recipes[baseline] = plain
    for name, recipe in recipes.items():
        try:
            check_recipe(recipe)
        except RecipeError as error:
            raise RecipeError(f"{name}: {error}") from error
    if reference is not None and reference not in recipes:
        raise RecipeError(name_nearest("reference", reference, recipes))
    folders: dict[str, str] = {}
    for name in recipes:
        if (other := folders.setdefault(folder_name(name), name)) != name:
            raise RecipeError(f"{other} and {name} would be the same folder, {folder_name(name)}; rename one.")
    for finding in (*zero_shot.findings, *zero_shot.large):
        name_of(finding)
    wanted = zero_shot.findings or finding_ids(recipes[first])
    findings = tuple(f for f in wanted if all(f in finding_ids(recipe) for recipe in recipes.values()))
    if not findings:
        raise RecipeError("findings: no finding is in all recipes, so there is nothing to compare them by.")
    return Comparison(
        title=title,
        summary=summary,
        limits=limits,
        recipes={name: budget.apply(recipe) for name, recipe in recipes.items()},
        budget=budget,
        seeds=seeds,
        resamples=resamples,
        zero_shot=zero_shot,
        findings=findings,
        reference=reference or first,
        baseline=baseline,
        baseline_added=baseline_added,
    )


def _baseline(recipes: Mapping[str, Recipe]) -> str | None:
    """The first line that is trained with the unimodal method."""
    return next((name for name, recipe in recipes.items() if recipe.method == BASELINE), None)


def _as_unimodal(recipe: Recipe) -> Recipe:
    """The unimodal method with its default options on the settings of another recipe."""
    return recipe.model_copy(update={"method": BASELINE, "options": {}, "auxiliary": {}})


def folder_name(name: str) -> str:
    """The folder of a line of the table, below `models/` and `results/`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)
