"""`medvlp compare`: methods trained under one budget, measured on the same held-out patients, in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medvlp.cli.result_table import print_result

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
    reference: Annotated[str | None, typer.Option(help="Method that the others are compared with [the first].")] = None,
    methods: Annotated[str | None, typer.Option(help="Plan: only these lines, with commas.")] = None,
    views: Annotated[str | None, typer.Option(help="Recipes: views that are measured, such as PA,AP.")] = None,
    data: Annotated[Path | None, typer.Option(help="Plan: folder that its data sets stand in [this one].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print compare.json, and no bars.")] = False,
) -> None:
    """Train several methods under one budget with several seeds, and compare them on the same held-out patients.

    Example: `medvlp compare recipes/phantom_devide.yaml recipes/phantom_clip.yaml --store store --samples 5000`

    Example: `medvlp compare recipes/compare_phantom.yaml -o runs/compare`

    Finished runs are not repeated. The exit status is 1 when a run has no figures (the page says why), and 2 when the
    command is wrong.
    """
    from medvlp.experiments.compare import compare as run_comparison

    try:
        result = run_comparison(
            [f for f in files if "=" not in f],
            out,
            store=store,
            overrides=[f for f in files if "=" in f],
            seeds=seeds,
            samples=samples,
            minutes=minutes,
            labels=labels,
            reference=reference,
            methods=None if methods is None else [name.strip() for name in methods.split(",")],
            views=views.split(",") if views else None,
            data=data,
            progress=not as_json,
        )
    except KeyboardInterrupt:
        typer.secho("Interrupted; the same command goes on with what is not finished.", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_result(result)
        typer.echo(str(out / "index.html"))
    if result.failed:
        raise typer.Exit(1)
