"""What a person can put right becomes one clear line and exit status 2; a bug keeps its traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def user_errors() -> Iterator[None]:
    """Print what is wrong with what was asked, and end with status 2 (usage)."""
    from medvlp.io import ReadError
    from medvlp.knowledge import KnowledgeError, UnknownNameError
    from medvlp.tasks.errors import TaskError
    from medvlp.training.model_folder import ModelFolderError
    from medvlp.training.recipe_errors import RecipeError

    told = (TaskError, RecipeError, ModelFolderError, KnowledgeError, UnknownNameError, ReadError, OSError)
    try:
        yield
    except told as error:
        typer.secho(f"Error: {error}", err=True, fg="red")
        raise typer.Exit(2) from error
