"""`medvlp demo` and `medvlp experiment`: a whole experiment from one plan, ending in one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.user_errors import user_errors

_OUT = "Folder of everything that is made; a start that was interrupted goes on there."


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help=_OUT)] = Path("demo"),
) -> None:
    """The main job on generated data: pretrain, label, segment, retrieve, ground, and a page of results.

    Example: `medvlp demo --out demo`

    Takes about a quarter of an hour on two CPU cores; the page is index.html in the folder.
    """
    from medvlp.experiments.plan import plan_folder

    _run(plan_folder() / "demo.yaml", out, Path())


def experiment(
    plan: Annotated[Path, typer.Argument(help="YAML file: data sets, models, what is measured.")],
    out: Annotated[Path, typer.Option("-o", "--out", help=_OUT)] = Path("runs/experiment"),
    data: Annotated[Path, typer.Option(help="Folder that the data sets of the plan stand in.")] = Path(),
) -> None:
    """Run a plan: prepare its data sets, pretrain its models, measure them on held-out patients, write one page.

    Example: `medvlp experiment recipes/real.yaml --data ../shared/data --out runs/real`
    """
    _run(plan, out, data)


def _run(file: Path, out: Path, data: Path) -> None:
    with user_errors():
        import logging

        from medvlp.experiments.make import make_store, train_models, train_segmenters
        from medvlp.experiments.measure import measure
        from medvlp.experiments.page import write_page
        from medvlp.experiments.plan import Plan
        from medvlp.experiments.work_dir import Workplace

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it says what the recipes say already
        plan, place = Plan.load(file), Workplace(out)
        out.mkdir(parents=True, exist_ok=True)
        store = make_store(plan, place, data)
        train_models(plan, file.parent, place, store)
        train_segmenters(plan, file.parent, place)
        write_page(plan, place, store, measure(plan, place, store))
    typer.echo(f"{place.page}: {sum(place.seconds.values()) / 60:.1f} minutes in all")
