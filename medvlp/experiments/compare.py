"""`compare`: methods trained under one budget with several seeds, measured on the same held-out patients."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvlp.data.store import Store
from medvlp.evaluation.compare_methods import ComparisonResult, compare_methods
from medvlp.experiments.comparison import Budget, Comparison, comparison_from_plan, new_comparison
from medvlp.experiments.comparison_report import write_page, write_tables
from medvlp.experiments.comparison_runs import check_measurable, run_all
from medvlp.experiments.experiment import make_store
from medvlp.experiments.plan import ComparisonPlan, ZeroShotPlan
from medvlp.experiments.work_dir import WorkDir
from medvlp.tasks.admission import TaskError
from medvlp.training.recipe import Recipe
from medvlp.training.recipe_errors import RecipeError
from medvlp.training.recipe_file import read_settings


@dataclass(frozen=True)
class _Settings:
    """What a caller gives beside the files; None leaves the choice to the plan, or to the default."""

    seeds: int | None
    samples: int | None
    minutes: float | None
    reference: str | None


def compare(
    files: str | Path | Sequence[str | Path],
    out: str | Path = "runs/compare",
    *,
    store: str | Path | None = None,
    overrides: Sequence[str] = (),
    seeds: int | None = None,
    samples: int | None = None,
    minutes: float | None = None,
    labels: str | Path | None = None,
    reference: str | None = None,
    methods: Sequence[str] | None = None,
    views: Sequence[str] | None = None,
    data: str | Path | None = None,
    progress: bool = True,
) -> ComparisonResult:
    """Train several methods under one budget with several seeds, and compare them on the same held-out patients.

        medvlp.compare(["recipes/phantom_devide.yaml", "recipes/phantom_clip.yaml"], store="store", samples=5000)

    Finished runs in `out` are not repeated, and an interrupted one continues at its checkpoint. After each seed of all
    methods, `index.html`, `compare.json`, `compare.csv` and `table.md` are written anew.

    Args:
        files: recipes, each named by its file; or one comparison plan.
        out: folder of the models, figures and the page.
        store: a prepared store. Recipes need one; a plan makes its own where none is given.
        overrides: `key.sub=value`, for all runs.
        seeds: runs of each method; None takes the plan's, or 3.
        samples, minutes: the budget of one run, one of the two; None takes the plan's.
        labels: CSV of known labels by image_id, instead of the store's own.
        reference: method that the others are compared with; None takes the plan's, or the first.
        methods: only these lines of a plan.
        views: views that are measured, with recipes; None takes those that the first recipe trains on.
        data: folder of a plan's data sets; None is the present one.
        progress: show progress bars.

    Returns:
        All figures with their intervals; `result.failed` names runs that have none, and why.

    Raises:
        RecipeError: a recipe, plan, name or option that is wrong, before anything is trained.
        TaskError: what could not be measured afterwards, or no run has a figure.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it repeats what the recipes say
    paths = [Path(f) for f in ([files] if isinstance(files, str | Path) else files)]
    work_dir, settings = WorkDir(Path(out)), _Settings(seeds, samples, minutes, reference)
    store, labels = (None if path is None else Path(path) for path in (store, labels))
    if plan := read_plan(paths, settings, methods):
        if views is not None:
            raise RecipeError("--views is for recipes; a comparison plan says them: `zero_shot: {views: [PA]}`.")
        comparison = comparison_from_plan(plan, paths[0].parent, overrides, methods)
        opened, labels = _plan_data(plan, work_dir, Path(data or ""), store, labels)
    else:
        if data is not None:
            raise RecipeError("--data is for a comparison plan; recipes are compared on a prepared --store.")
        if store is None:
            raise RecipeError("--store is missing: recipes are compared on a prepared store.")
        comparison = _comparison_of_recipes(paths, overrides, store, settings, views)
        opened = Store.open(store)
    return _run(comparison.with_store(opened.path), work_dir, opened, labels, progress)


def read_plan(files: Sequence[Path], settings: _Settings, methods: Sequence[str] | None) -> ComparisonPlan | None:
    """The plan, with what the caller gives instead; None where the files are recipes."""
    if not files:
        raise RecipeError("Name recipes, or one comparison plan.")
    plan = read_settings(files[0])
    if "methods" not in plan:
        if methods is not None:
            raise RecipeError(f"--methods chooses lines of a comparison plan, and {files[0]} is a recipe.")
        return None
    if len(files) > 1:
        raise RecipeError(f"{files[0]} is a comparison plan, which stands alone; {files[1]} cannot stand beside it.")
    if settings.samples or settings.minutes:
        plan |= {"samples": None, "minutes": None}
    plan |= {name: value for name, value in vars(settings).items() if value is not None}
    read = ComparisonPlan.from_dict(plan, str(files[0]))
    if methods is not None and settings.reference is None and read.reference not in methods:
        read = read.model_copy(update={"reference": None})  # gives way to the first of the chosen lines
    return read


def _comparison_of_recipes(
    files: Sequence[Path], overrides: Sequence[str], store: Path, settings: _Settings, views: Sequence[str] | None
) -> Comparison:
    """The comparison of some recipes, each named by its file."""
    if (settings.samples is None) == (settings.minutes is None):
        raise RecipeError("Give one budget: --samples or --minutes.")
    names = [file.stem for file in files]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise RecipeError(f"Two recipes are called {repeated[0]}; the table needs different file names.")
    recipes = {f.stem: Recipe.load(f, [f"data.store={store}", *overrides]) for f in files}
    return new_comparison(
        recipes,
        Budget(settings.samples, settings.minutes),
        settings.seeds or 3,
        ZeroShotPlan(views=tuple(views) if views else next(iter(recipes.values())).data.views),
        reference=settings.reference,
        summary=f"{', '.join(names)} on `{store}`",
    )


def _plan_data(
    plan: ComparisonPlan, work_dir: WorkDir, data: Path, store: Path | None, labels: Path | None
) -> tuple[Store, Path | None]:
    """The store, made where none is given, and the table of labels, where they are not the store's own."""
    uses_truth = plan.zero_shot.labels == "truth"
    if store is None:
        work_dir.out.mkdir(parents=True, exist_ok=True)
        return make_store(plan, work_dir, data), labels or (work_dir.truth if uses_truth else None)
    if uses_truth and labels is None:
        raise RecipeError(
            "The plan measures against the truth of generated images; with --store, say --labels as well."
        )
    return Store.open(store), labels


def _run(
    comparison: Comparison, work_dir: WorkDir, store: Store, labels: Path | None, progress: bool
) -> ComparisonResult:
    """All runs; after each seed of all methods the tables and the page are written."""
    check_measurable(comparison, store, labels)
    work_dir.out.mkdir(parents=True, exist_ok=True)
    result = None
    for runs in run_all(comparison, work_dir, store, labels, progress):
        if any(runs.done.values()):
            protocol: dict[str, Any] = {
                "seeds": comparison.seeds,
                "budget": str(comparison.budget),
                "findings": list(comparison.findings),
            }
            result = compare_methods(
                runs.done,
                reference=comparison.reference,
                baseline=comparison.baseline,
                large=comparison.zero_shot.large,
                failed=runs.failed,
                protocol=protocol,
                resamples=comparison.resamples,
            )
            write_tables(result, work_dir.out)
            write_page(comparison, work_dir, store, runs, result)
    if result is None:
        raise TaskError("no run has a figure; the reasons stand above and in results/*/*/error.txt")
    return result
