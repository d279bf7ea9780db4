"""The images that `medvlp label` and `medvlp segment` read: found below what was named, and told of where they fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 10  # files that could not be read


def images_below(files: Sequence[Path]) -> list[Path]:
    """Files as given, folders walked; see `find_images`.

    Raises:
        TaskError: there is none.
    """
    from medvlp.io.walk import find_images
    from medvlp.tasks.inference import TaskError

    if found := find_images(files).files:
        return found
    raise TaskError(f"no image in {', '.join(map(str, files))}")


def finish(table: pd.DataFrame, verb: str, where: str = "") -> None:
    """Say how many rows of a table (`path`, `status`, ...) are `ok` and which are not, and end with status 0 or 1."""
    failed = table[table["status"] != "ok"]
    typer.echo(f"{len(table) - len(failed)} files {verb}, {len(failed)} could not be read{where}", err=True)
    for path, status in zip(failed["path"].head(_NAMED), failed["status"].head(_NAMED), strict=True):
        typer.echo(f"  {path}: {status}", err=True)
    if len(failed) > _NAMED:
        typer.echo(f"  ... and {len(failed) - _NAMED} more; the column `status` has the reasons", err=True)
    raise typer.Exit(1 if len(failed) else 0)
