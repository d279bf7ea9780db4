"""What a person can put right becomes one clear line and an exit status; a bug keeps its traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def told(*errors: type[Exception], status: int = 2) -> Iterator[None]:
    """Print such an error as one line on the standard error stream, and end with this status; 2 is usage."""
    try:
        yield
    except errors as error:
        typer.secho(f"Error: {error}", err=True, fg="red")
        raise typer.Exit(status) from error


@contextmanager
def user_errors() -> Iterator[None]:
    """Tell what is wrong with what was asked of a model or a recipe, and end with status 2."""
    from medvlp.io import ReadError
    from medvlp.knowledge import KnowledgeError, UnknownNameError
    from medvlp.tasks.inference import TaskError
    from medvlp.training.model_folder import ModelFolderError
    from medvlp.training.recipe_errors import RecipeError

    with told(TaskError, RecipeError, ModelFolderError, KnowledgeError, UnknownNameError, ReadError, OSError):
        yield


@contextmanager
def data_errors() -> Iterator[None]:
    """Tell what is wrong with what was asked of `medvlp data`, or that the disk is full, and end with status 2."""
    from medvlp.errors import MedVLPError
    from medvlp.knowledge import UnknownNameError

    with told(MedVLPError, ValueError, UnknownNameError, OSError):
        yield
