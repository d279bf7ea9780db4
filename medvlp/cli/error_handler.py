"""What a person can put right becomes one line and exit status 2, for every verb; a bug keeps its traceback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import typer
from typer.core import TyperGroup

from medvlp.errors import MedVLPError, install_advice


class UsageError(MedVLPError):
    """An option or argument that a verb cannot take."""


class ErrorHandlingGroup(TyperGroup):
    """The group of all verbs: errors of `MedVLPError` and of the operating system end here, as does a name that is no
    UTF-8 and so could be printed nowhere.

    Class attributes:
        errors: what else a user of these verbs can put right.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for argument in args:
            try:
                argument.encode()
            except UnicodeEncodeError:
                _end(f"the name {os.fsencode(argument)!r} is not UTF-8; rename the file", 2)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with exit_status(2, MedVLPError, OSError, *self.errors):
            return super().invoke(ctx)


@contextmanager
def exit_status(status: int, *errors: type[Exception]) -> Iterator[None]:
    """Inside, such an error becomes one line on the standard error stream and ends with this status."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads any more; typer ends silently
    except ModuleNotFoundError as error:
        if advice := install_advice(error.name or ""):
            _end(advice, 2, error)
        raise
    except errors as error:
        _end(str(error), status, error)


def written_as(*suffixes: str) -> Callable[[Path | None], Path | None]:
    """Callback of an option that names a file to write: refuse, before any work, an ending that is none of these.

    Examples:
        >>> written_as(".png")(Path("heat.xyz"))
        Traceback (most recent call last):
        ...
        medvlp.cli.error_handler.UsageError: heat.xyz: this is written as .png; give a name that ends so
    """

    def check(path: Path | None) -> Path | None:
        if path is not None and path.suffix.lower() not in suffixes:
            raise UsageError(f"{path}: this is written as {' or '.join(suffixes)}; give a name that ends so")
        return path

    return check


def _end(message: str, status: int, error: Exception | None = None) -> NoReturn:
    line = f"Error: {message}".encode(errors="backslashreplace").decode()
    typer.secho(line, err=True, fg="red")
    raise typer.Exit(status) from error
