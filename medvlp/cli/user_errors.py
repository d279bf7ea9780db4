"""Names that the training verbs still use; see `error_handler.py`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from medvlp.cli.error_handler import exit_status


def told(*errors: type[Exception], status: int = 2) -> AbstractContextManager[None]:
    return exit_status(status, *errors)


def user_errors() -> AbstractContextManager[None]:
    return nullcontext()
