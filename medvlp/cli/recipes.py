"""`medvlp recipes`: the recipes and plans that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Recipes of the package: list, show and copy them.", invoke_without_command=True)
Name = Annotated[str, typer.Argument(help="Name of a recipe, as `medvlp recipes` lists it.")]


@app.callback()
def list_recipes(context: typer.Context) -> None:
    """List the recipes of the package, each with what it is, or the command that runs it.

    Example: `medvlp recipes`
    """
    if context.invoked_subcommand:
        return
    from medvlp.training.recipe_file import recipe_folder

    files = sorted(recipe_folder().glob("*.yaml"))
    width = max(len(file.stem) for file in files)
    for file in files:
        typer.echo(f"{file.stem:{width}}  {_summary(file.read_text())}")


@app.command()
def show(name: Name) -> None:
    """Print a recipe.

    Example: `medvlp recipes show phantom_clip`
    """
    typer.echo(_read(name), nl=False)


@app.command()
def copy(
    name: Name,
    out: Annotated[Path, typer.Option("-o", "--out", help="New file, to change and run.")],
) -> None:
    """Copy a recipe to a file of your own. What it stands on (`base:`) is then named by its full path.

    Example: `medvlp recipes copy phantom_clip -o mine.yaml`
    """
    from medvlp.cli.error_handler import UsageError
    from medvlp.io.atomic_write import atomic_file
    from medvlp.training.recipe_file import recipe_folder

    if out.exists():
        raise UsageError(f"{out} is there already; give another name")
    text = _read(name).replace("\nbase: ", f"\nbase: {recipe_folder()}/")
    with atomic_file(out) as partial:
        partial.write_text(text)
    typer.echo(out)


def _read(name: str) -> str:
    from medvlp.training.recipe_file import find_recipe

    return find_recipe(name).read_text()


def _summary(text: str) -> str:
    """The first line of the description above the settings; the first command where there is none."""
    head = text.partition("\n\n")[0] if text.startswith("#") else ""
    lines = [line[2:] for line in head.splitlines() if line.startswith("# ")]
    described = [line for line in lines if not line.startswith(("medvlp ", "make "))]
    return (described or lines or [""])[0]
