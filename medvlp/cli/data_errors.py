"""How `medvlp data` tells what is wrong with what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def data_errors() -> Iterator[None]:
    """Print a mistake of the caller, or a full disk, as one message, and end with status 2 (usage)."""
    from medvlp.knowledge import UnknownNameError

    try:
        yield
    except (ValueError, UnknownNameError, OSError) as error:
        typer.secho(f"Error: {error}", err=True, fg="red")
        raise typer.Exit(2) from error
