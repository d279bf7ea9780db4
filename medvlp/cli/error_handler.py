"""What a person can put right becomes one line and exit status 2, for every verb; a bug keeps its traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from medvlp.errors import MedVLPError


class ErrorHandlingGroup(TyperGroup):
    """The group of all verbs: errors of `MedVLPError` and of the operating system end here, as does a name that is no
    UTF-8 and so could be printed nowhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for argument in args:
            try:
                argument.encode()
            except UnicodeEncodeError:
                _end(f"the name {os.fsencode(argument)!r} is not UTF-8; rename the file", 2)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with exit_status(2, MedVLPError, OSError):
            return super().invoke(ctx)


@contextmanager
def exit_status(status: int, *errors: type[Exception]) -> Iterator[None]:
    """Inside, such an error becomes one line on the standard error stream and ends with this status."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads any more; typer ends silently
    except errors as error:
        _end(str(error), status, error)


def _end(message: str, status: int, error: Exception | None = None) -> NoReturn:
    line = f"Error: {message}".encode(errors="backslashreplace").decode()
    typer.secho(line, err=True, fg="red")
    raise typer.Exit(status) from error
