"""The other end of `WorkerPool`: a fresh interpreter that answers tasks over a pipe until the pipe closes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from medvlp.io.errors import ReadError


@dataclass(frozen=True)
class Failure:
    """A task without result; `reason` goes to the quarantine table and holds no value of a header."""

    reason: str


def guarded(function: Callable[[Any], Any], task: Any) -> Any:
    """The function's result, or a `Failure`: any exception of a bad file ends here, with its reason."""
    try:
        return function(task)
    except ReadError as error:
        return Failure(error.reason)
    except MemoryError:
        return Failure("needs more memory than a worker may take")
    except Exception as error:
        # The message may quote the file's header, so only the kind and the place in the code are kept.
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
        return Failure(f"cannot be read: {type(error).__name__} in {where}")


def serve(descriptor: int) -> None:
    """Over a pipe: receive the function and the memory limit, say ready; then receive chunks, send a result a task."""
    connection = Connection(descriptor)
    function, memory = connection.recv()
    _limit_memory(memory)
    connection.send(None)
    while True:
        try:
            chunk = connection.recv()
        except EOFError:
            return
        for task in chunk:
            connection.send(guarded(function, task))


def _limit_memory(size: int) -> None:
    """Let allocations beyond `size` bytes fail here instead of filling the machine; no such limit outside POSIX."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
