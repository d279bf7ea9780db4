"""`medvlp compare`: methods trained under one budget, measured on the same held-out patients, in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvlp.cli.result_table import print_result
from medvlp.cli.user_errors import user_errors

if TYPE_CHECKING:
    from medvlp.data.store import Store
    from medvlp.evaluation.compare_methods import ComparisonResult
    from medvlp.experiments.comparison import Contest
    from medvlp.experiments.comparison_plan import ComparePlan
    from medvlp.experiments.work_dir import Workplace

_FILES = "Recipes, or one comparison plan; then key=value for all runs, such as training.learning_rate=5e-4."


def compare(
    files: Annotated[list[str], typer.Argument(help=_FILES)],
    store: Annotated[Path | None, typer.Option(help="Prepared store, instead of the data of a plan.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs of each method [3, or what the plan says].")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Budget of a run in training images.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Budget of a run in minutes of steps.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder; an interrupted start goes on there.")] = Path(
        "runs/compare"
    ),
    labels: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CSV of known labels, by image_id.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="Method that the others are held against [the first].")] = None,
    methods: Annotated[str | None, typer.Option(help="Plan: only these lines, with commas.")] = None,
    views: Annotated[str | None, typer.Option(help="Recipes: views that are measured, such as PA,AP.")] = None,
    data: Annotated[Path | None, typer.Option(help="Plan: folder that its data sets stand in [this one].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print compare.json, and no bars.")] = False,
) -> None:
    """Train several methods under one budget with several seeds, and compare them on the same held-out patients.

    Example: `medvlp compare recipes/phantom_devide.yaml recipes/phantom_clip.yaml --store store --samples 5000`

    Example: `medvlp compare recipes/compare_phantom.yaml -o runs/compare`

    Finished runs are not repeated. Ends with status 1 when a method has a run without figures (the page says why), and
    with 2 when what was asked is wrong.
    """
    with user_errors():
        import logging

        from medvlp.experiments.work_dir import Workplace
        from medvlp.training.recipe_errors import RecipeError

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it says what the recipes say already
        recipes, overrides = [Path(f) for f in files if "=" not in f], [f for f in files if "=" in f]
        place = Workplace(out)
        chosen = None if methods is None else [name.strip() for name in methods.split(",")]
        budget = {"seeds": seeds, "samples": samples, "minutes": minutes, "reference": reference}
        try:
            if plan := _plan(recipes, budget, chosen):
                from medvlp.experiments.comparison import contest_of_plan

                if views is not None:
                    raise RecipeError(
                        "--views is for recipes; a comparison plan says them: `zero_shot: {views: [PA]}`."
                    )
                contest = contest_of_plan(plan, recipes[0].parent, overrides, chosen)
                opened, known = _data(plan, place, data or Path(), store, labels)
            else:
                if data is not None:
                    raise RecipeError("--data is for a comparison plan; recipes are compared on a prepared --store.")
                contest = _contest(recipes, overrides, store, budget, labels, views)
                opened, known = _open(store), labels
            result = _run(contest, place, opened, known, quiet=as_json)
        except KeyboardInterrupt:
            typer.secho("Interrupted; the same command goes on with what is not finished.", err=True)
            raise typer.Exit(1) from None
    _tell(result, place, as_json)


def _plan(files: list[Path], budget: dict[str, Any], chosen: list[str] | None) -> ComparePlan | None:
    """The plan, with what the command line says instead; None where the files are recipes."""
    from medvlp.experiments.comparison_plan import ComparePlan
    from medvlp.training.recipe_errors import RecipeError
    from medvlp.training.recipe_file import read_settings

    if not files:
        raise RecipeError("Name recipes, or one comparison plan.")
    settings = read_settings(files[0])
    if "methods" not in settings:
        if chosen is not None:
            raise RecipeError(f"--methods chooses lines of a comparison plan, and {files[0]} is a recipe.")
        return None
    if len(files) > 1:
        raise RecipeError(f"{files[0]} is a comparison plan, which stands alone; {files[1]} cannot stand beside it.")
    if budget["samples"] or budget["minutes"]:
        settings |= {"samples": None, "minutes": None}
    settings |= {name: value for name, value in budget.items() if value is not None}
    plan = ComparePlan.from_dict(settings, str(files[0]))
    if chosen is not None and budget["reference"] is None and plan.reference not in chosen:
        plan = plan.model_copy(update={"reference": None})  # gives way to the first of the chosen lines
    return plan


def _contest(
    files: list[Path],
    overrides: list[str],
    store: Path | None,
    budget: dict[str, Any],
    labels: Path | None,
    views: str | None,
) -> Contest:
    """The contest of some recipes, each named by its file."""
    from medvlp.experiments.comparison import Budget, make_contest
    from medvlp.experiments.plan import ZeroShotPlan
    from medvlp.training.recipe import Recipe
    from medvlp.training.recipe_errors import RecipeError

    if store is None:
        raise RecipeError("--store is missing: recipes are compared on a prepared store.")
    if (budget["samples"] is None) == (budget["minutes"] is None):
        raise RecipeError("Give one budget: --samples or --minutes.")
    names = [file.stem for file in files]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RecipeError(f"Two recipes are called {twice[0]}; the table needs different file names.")
    recipes = {f.stem: Recipe.load(f, [f"data.store={store}", *overrides]) for f in files}
    return make_contest(
        recipes,
        Budget(budget["samples"], budget["minutes"]),
        budget["seeds"] or 3,
        ZeroShotPlan(views=tuple(views.split(",")) if views else next(iter(recipes.values())).data.views),
        reference=budget["reference"],
        words=("Methods compared", f"{', '.join(names)} on `{store}`", ()),
    )


def _data(
    plan: ComparePlan, place: Workplace, data: Path, store: Path | None, labels: Path | None
) -> tuple[Store, Path | None]:
    """The store, made where it is not given, and the table of labels, where they are not the store's own."""
    from medvlp.experiments.make import make_store
    from medvlp.training.recipe_errors import RecipeError

    truth = plan.zero_shot.labels == "truth"
    if store is None:
        place.out.mkdir(parents=True, exist_ok=True)
        return make_store(plan, place, data), labels or (place.truth if truth else None)
    if truth and labels is None:
        raise RecipeError(
            "The plan measures against the truth of generated images; with --store, say --labels as well."
        )
    return _open(store), labels


def _open(store: Path | None) -> Store:
    from medvlp.data.store import Store

    assert store is not None  # `_contest` has asked for it
    return Store.open(store)


def _run(contest: Contest, place: Workplace, store: Store, labels: Path | None, quiet: bool) -> ComparisonResult:
    """All runs; after each seed of all methods the table and the page are written."""
    from medvlp.evaluation.compare_methods import compare_methods
    from medvlp.experiments.comparison_files import write_files
    from medvlp.experiments.comparison_page import write_page
    from medvlp.experiments.comparison_runs import check_measurable, run_all

    contest = contest.on(store.path)
    check_measurable(contest, store, labels)
    place.out.mkdir(parents=True, exist_ok=True)
    if contest.added and not quiet:
        typer.secho(f"added: {contest.baseline}, the supervised baseline", err=True)
    result = None
    for runs in run_all(contest, place, store, labels, show=not quiet):
        if any(runs.done.values()):
            result = compare_methods(
                runs.done,
                reference=contest.reference,
                baseline=contest.baseline,
                large=contest.zero_shot.large,
                failed=runs.failed,
                protocol={"seeds": contest.seeds, "budget": str(contest.budget), "findings": list(contest.findings)},
                resamples=contest.resamples,
            )
            write_files(result, place.out)
            write_page(contest, place, store, runs, result)
    if result is None:
        typer.secho(
            "Error: no run has a figure; the reasons stand above and in results/*/*/error.txt", err=True, fg="red"
        )
        raise typer.Exit(1)
    return result


def _tell(result: ComparisonResult, place: Workplace, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_result(result)
        typer.echo(str(place.page))
    if result.failed:
        raise typer.Exit(1)
