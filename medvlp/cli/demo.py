"""`medvlp demo` and `medvlp experiment`: a whole experiment from one plan, ending in one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_OUT = "Folder of everything that is made; a start that was interrupted goes on there."


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help=_OUT)] = Path("demo"),
) -> None:
    """The main job on generated data: pretrain, label, segment, retrieve, ground, and a page of results.

    Example: `medvlp demo --out demo`

    Takes about a quarter of an hour on two CPU cores; the page is index.html in the folder.
    """
    from medvlp.training.recipe_file import recipe_folder

    _run(recipe_folder() / "demo.yaml", out, Path())


def experiment(
    plan: Annotated[Path, typer.Argument(help="YAML file: data sets, models, what is measured.")],
    out: Annotated[Path, typer.Option("-o", "--out", help=_OUT)] = Path("runs/experiment"),
    data: Annotated[Path, typer.Option(help="Folder that the data sets of the plan stand in.")] = Path(),
) -> None:
    """Run a plan: prepare its data sets, pretrain its models, measure them on held-out patients, write one page.

    Example: `medvlp experiment recipes/real.yaml --data ../shared/data --out runs/real`
    """
    _run(plan, out, data)


def _run(plan: Path, out: Path, data: Path) -> None:
    from medvlp.experiments.experiment import run_experiment

    made = run_experiment(plan, out, data)
    typer.echo(f"{made.page}: {sum(made.seconds.values()) / 60:.1f} minutes in all")
