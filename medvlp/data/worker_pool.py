"""`WorkerPool`: processes that run native decoders; one that crashes or hangs costs one task, not the run.

The standard pools give up when a worker dies. Here each worker has its own pipe and answers task by task, so that the
parent knows which task killed it: this one becomes a `Failure`, the rest of its chunk goes to a new worker. Workers
are fresh interpreters (`worker_process.serve`), which do not inherit the parent's threads, memory or `__main__`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from medvlp.data.worker_process import Failure, guarded


@dataclass
class _Worker:
    """One process, its pipe, and the tasks that it still owes, in order."""

    process: subprocess.Popen[bytes]
    connection: Connection
    owed: deque[tuple[int, Any]] = field(default_factory=deque)
    ready: bool = False
    since: float = 0.0

    def send(self, chunk: Sequence[tuple[int, Any]]) -> None:
        self.owed.extend(chunk)
        self.since = time.monotonic()
        self.connection.send([task for _, task in chunk])

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


class WorkerPool:
    """Run a function over tasks in processes that survive each other's death.

    Args:
        function: importable by name in a fresh interpreter (a module's function, or `functools.partial` of one).
        workers: processes; 0 runs in this process, where a crash is a crash.
        timeout: seconds that one task may take before its worker is killed.
        memory: bytes that a worker may allocate; more is a `MemoryError` of the task (Linux).
        chunk: tasks that are sent to a worker at once.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        workers: int,
        timeout: float = 120.0,
        memory: int = 2 << 30,
        chunk: int = 16,
    ) -> None:
        self.function, self.workers, self.timeout, self.memory, self.chunk = function, workers, timeout, memory, chunk
        self._alive: list[_Worker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        for worker in self._alive:
            worker.stop()
        self._alive.clear()

    def map(self, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Yield `(index of the task, its result or a Failure)` as they come; at most a few chunks are in flight.

        Raises:
            RuntimeError: a worker ended before its first task: the installation, not a task, is at fault.
        """
        if self.workers == 0:
            yield from ((i, guarded(self.function, task)) for i, task in enumerate(tasks))
            return
        source = enumerate(tasks)
        returned: deque[tuple[int, Any]] = deque()  # owed by workers that died
        while True:
            self._feed(source, returned)
            busy = [w for w in self._alive if w.owed]
            if not busy:
                return
            ready = wait([w.connection for w in busy], timeout=1.0)
            for worker in busy:
                if worker.connection in ready:
                    yield from self._receive(worker, returned)
                elif worker.ready and time.monotonic() - worker.since > self.timeout:
                    yield self._bury(worker, returned, f"took longer than {self.timeout:g} s and was stopped")

    def _feed(self, source: Iterator[tuple[int, Any]], returned: deque[tuple[int, Any]]) -> None:
        """Give each worker that owes nothing a chunk; start workers while there is work.

        Never more than one chunk: a worker that is still answering does not read, and with both sides writing into
        full pipes neither would go on.
        """
        while True:
            idle = [w for w in self._alive if not w.owed]
            if not idle and len(self._alive) >= self.workers:
                return
            chunk: list[tuple[int, Any]] = []
            while len(chunk) < self.chunk:
                task = returned.popleft() if returned else next(source, None)
                if task is None:
                    break
                chunk.append(task)
            if not chunk:
                return
            worker = idle[0] if idle else self._start()
            with suppress(OSError):  # it died between two chunks: `_receive` sees the closed pipe and buries it
                worker.send(chunk)

    def _receive(self, worker: _Worker, returned: deque[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        try:
            result = worker.connection.recv()
        except (EOFError, OSError):
            code = worker.process.wait()
            if not worker.ready:
                raise RuntimeError(
                    f"no worker could start ({_exit_reason(code)}): {self.function} must be importable in a fresh "
                    "interpreter; workers=0 runs in this process and shows the error"
                ) from None
            yield self._bury(worker, returned, f"the decoder crashed ({_exit_reason(code)})")
            return
        worker.since = time.monotonic()
        if worker.ready:
            yield worker.owed.popleft()[0], result
        worker.ready = True  # the first message only says so; from now on a task's time counts

    def _bury(self, worker: _Worker, returned: deque[tuple[int, Any]], reason: str) -> tuple[int, Failure]:
        culprit = worker.owed.popleft()[0]
        returned.extend(worker.owed)
        worker.stop()
        self._alive.remove(worker)
        return culprit, Failure(reason)

    def _start(self) -> _Worker:
        mine, theirs = Pipe()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", f"from medvlp.data.worker_process import serve; serve({theirs.fileno()})"],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # decoders' warnings quote header values: they go nowhere
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        worker = _Worker(process, mine)
        mine.send((self.function, self.memory))
        self._alive.append(worker)
        return worker


def _exit_reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
