"""`ProcessPool`: processes that run native decoders; one that crashes or hangs costs one task, not the run.

The standard pools give up when a worker dies. Here each worker has its own pipe and answers task by task, so that the
parent knows which task killed it: this one becomes a `Failure`, the rest of its chunk goes to a new worker. Workers
are fresh interpreters, which do not inherit the parent's threads, memory or `__main__`. POSIX systems only.
"""

from __future__ import annotations

import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from medvlp.io.errors import FormatError, ReadError

_START_SECONDS = 120.0  # for a fresh interpreter on a busy machine


@dataclass(frozen=True)
class Failure:
    """A task without result; `reason` goes to the quarantine table and holds no value of a header."""

    reason: str


@dataclass
class _Worker:
    """One process, its pipe, and the tasks that it has not answered, in order."""

    process: subprocess.Popen[bytes]
    connection: Connection
    pending: deque[tuple[int, Any]] = field(default_factory=deque)
    ready: bool = False
    since: float = 0.0

    def send(self, chunk: Sequence[tuple[int, Any]]) -> None:
        self.pending.extend(chunk)
        self.since = time.monotonic()
        self.connection.send([task for _, task in chunk])

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


class ProcessPool:
    """Run a function over tasks in processes that survive each other's death.

    Args:
        function: importable by name in a fresh interpreter (a module's function, or `functools.partial` of one).
        workers: processes; 0 runs in this process, where a crash is a crash.
        timeout: seconds that one task may take before its worker is killed.
        cpu_seconds: processor time that one task may take; a busy machine makes no honest task late. 0: no limit.
        memory: bytes that a worker may allocate; more is a `MemoryError` of the task (Linux).
        chunk: tasks that are sent to a worker at once.

    Examples:
        >>> import math
        >>> with ProcessPool(math.sqrt, workers=0) as pool:  # 0: in this process
        ...     list(pool.map([4.0, 9.0]))
        [(0, 2.0), (1, 3.0)]
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        workers: int,
        *,
        timeout: float = 120.0,
        cpu_seconds: float = 0.0,
        memory: int = 2 << 30,
        chunk: int = 16,
    ) -> None:
        self.function, self.workers, self.timeout, self.chunk = function, workers, timeout, chunk
        self.cpu_seconds, self.memory = cpu_seconds, memory
        self._alive: list[_Worker] = []

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all workers; a later `map` starts others."""
        for worker in self._alive:
            worker.stop()
        self._alive.clear()

    def map(self, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Yield `(index of the task, its result or a Failure)` as they come; at most a few chunks are in flight.

        Raises:
            RuntimeError: a worker ended before its first task: the installation, not a task, is at fault.
        """
        if self.workers == 0:
            yield from ((i, run_task(self.function, task)) for i, task in enumerate(tasks))
            return
        source = enumerate(tasks)
        returned: deque[tuple[int, Any]] = deque()  # pending tasks of workers that died
        while True:
            self._feed(source, returned)
            busy = [w for w in self._alive if w.pending]
            if not busy:
                return
            ready = wait([w.connection for w in busy], timeout=min(1.0, self.timeout))
            for worker in busy:
                if worker.connection in ready:
                    yield from self._receive(worker, returned)
                elif time.monotonic() - worker.since > (self.timeout if worker.ready else _START_SECONDS):
                    yield self._remove(worker, returned, f"took longer than {self.timeout:g} s and was stopped")

    def _feed(self, source: Iterator[tuple[int, Any]], returned: deque[tuple[int, Any]]) -> None:
        """Give each idle worker a chunk; start workers while there is work.

        Never more than one chunk: a worker that is still answering does not read, and with both sides writing into
        full pipes neither would go on.
        """
        while True:
            idle = [w for w in self._alive if not w.pending]
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
            with suppress(OSError):  # it died between two chunks: `_receive` meets the closed pipe
                worker.send(chunk)

    def _receive(self, worker: _Worker, returned: deque[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        try:
            data = worker.connection.recv_bytes()
        except (EOFError, OSError):
            code = worker.process.wait()
            if not worker.ready:
                raise RuntimeError(
                    f"no worker could start ({_exit_reason(code)}): {self.function} must be importable in a fresh "
                    "interpreter; workers=0 runs in this process and shows the error"
                ) from None
            overtime = code == -signal.SIGPROF
            reason = "the decoder worked too long and was stopped" if overtime else ""
            yield self._remove(worker, returned, reason or f"the decoder crashed ({_exit_reason(code)})")
            return
        try:
            result = _ResultUnpickler(BytesIO(data)).load()
        except Exception as error:  # a process whose memory a bad frame overwrote may send anything
            yield self._remove(worker, returned, f"the decoder gave no readable result ({type(error).__name__})")
            return
        worker.since = time.monotonic()
        if worker.ready:
            yield worker.pending.popleft()[0], result
        worker.ready = True  # the first message only says so; from now on a task's time counts

    def _remove(self, worker: _Worker, returned: deque[tuple[int, Any]], reason: str) -> tuple[int, Failure]:
        index = worker.pending.popleft()[0]
        returned.extend(worker.pending)
        worker.stop()
        self._alive.remove(worker)
        return index, Failure(reason)

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        path = os.pathsep.join(filter(None, sys.path))
        process = subprocess.Popen(
            [sys.executable, "-c", f"from medvlp.io.process_pool import serve; serve({theirs.fileno()})"],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # decoders' warnings quote header values: they go nowhere
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        worker = _Worker(process, ours)
        ours.send((self.function, self.memory, self.cpu_seconds))
        self._alive.append(worker)
        return worker


class Sandbox:
    """A pool of one process for single calls; safe to share between threads and to inherit through a fork.

    The process starts at the first call (0.2 s), and again after a crash. Frames travel through a pipe, which costs
    about a millisecond a megapixel.
    """

    def __init__(self, timeout: float = 120.0, cpu_seconds: float = 20.0) -> None:
        self._lock = threading.Lock()
        self._new = functools.partial(ProcessPool, _call, 1, timeout=timeout, cpu_seconds=cpu_seconds, chunk=1)
        self._pool, self._pid = self._new(), os.getpid()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """`function(*arguments)`, run in the process.

        Raises:
            FormatError: the function refused its input, crashed or took too long.
        """
        with self._lock:
            if self._pid != os.getpid():
                self._pool, self._pid = self._new(), os.getpid()  # the process belongs to the parent
            try:
                ((_, result),) = self._pool.map([(function, arguments)])
            except BaseException:  # an interrupt: the answer that is still to come would be taken for another call's
                self._pool.close()
                raise
        if isinstance(result, Failure):
            raise FormatError(result.reason)
        return result

    def close(self) -> None:
        """End the process; the next call starts another."""
        self._pool.close()


def serve(descriptor: int) -> None:
    """The worker: receive the function and its limits, report ready; then receive chunks, send a result a task."""
    connection = Connection(descriptor)
    function, memory, cpu_seconds = connection.recv()
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    connection.send(None)
    while True:
        try:
            chunk = connection.recv()
        except EOFError:
            return
        for task in chunk:
            signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # SIGPROF ends the process, also inside a decoder
            result = run_task(function, task)
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send_bytes(pickle.dumps(result, protocol=5))


def run_task(function: Callable[[Any], Any], task: Any) -> Any:
    """The function's result, or a `Failure`: any exception of a bad file ends here, with its reason."""
    try:
        return function(task)
    except ReadError as error:
        return Failure(error.reason)
    except FormatError as error:
        return Failure(str(error))
    except MemoryError:
        return Failure("needs more memory than a worker may take")
    except Exception as error:
        # The message may quote the file's header, so only the kind and the line of code are kept.
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
        return Failure(f"cannot be read: {type(error).__name__} in {where}")


class _ResultUnpickler(pickle.Unpickler):
    """Loads arrays and the dataclasses of this package, and calls nothing else, whatever the bytes say."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in ("_reconstruct", "_frombuffer", "scalar", "ndarray", "dtype"):
            return super().find_class(module, name)
        found = super().find_class(module, name) if module.startswith("medvlp.") and "." not in name else None
        if isinstance(found, type):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no result of a worker")


def _call(task: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
    function, arguments = task
    return function(*arguments)


def _exit_reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


SANDBOX = Sandbox()
