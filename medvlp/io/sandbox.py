"""Decoding in a process that may die: a crash, a hang or a memory bomb in a decoder becomes an `Unreadable`.

One child serves all calls of a process. It is started at the first call (0.2 s), and again after it had to be killed.
Frames travel through a pipe, which costs about a millisecond a megapixel. POSIX systems only.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvlp.io.decoders import Decoded
from medvlp.io.errors import Unreadable
from medvlp.io.image import Image
from medvlp.io.pixel_layout import PixelLayout

PATIENCE = 120.0  # seconds until a child that sleeps is given up; one that works too long ends itself


class Sandbox:
    """A child process that decodes; safe to share between threads, and to inherit through a fork.

    Args:
        patience: seconds that a call may take, the start of the child included.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._child: tuple[int, subprocess.Popen[bytes], Connection] | None = None

    def call(self, operation: str, *arguments: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        """Run an operation of `medvlp.io.sandbox_child`.

        Returns:
            Its array, and what else it returned, as a dictionary.

        Raises:
            Unreadable: the operation refused, crashed or took too long.
        """
        with self._lock:
            if self._child is None or self._child[0] != os.getpid():
                self._child = _start()
            _, process, pipe = self._child
            try:
                array, answer = self._ask(pipe, operation, arguments)
            except (EOFError, OSError):
                process.wait()
                self.close()
                raise Unreadable(_epitaph(process.returncode)) from None
            except (
                BaseException
            ):  # a hang, or an interrupt: the child may still be at work and its answer would be stale
                self.close()
                raise
        if "refused" in answer:
            raise Unreadable(answer["refused"])
        return array, answer

    def close(self) -> None:
        """End the child; the next call starts another."""
        if self._child is not None and self._child[0] == os.getpid():
            _, process, pipe = self._child
            process.kill()
            process.wait()
            pipe.close()
        self._child = None

    def _ask(self, pipe: Connection, operation: str, arguments: tuple[Any, ...]) -> tuple[NDArray[Any], dict[str, Any]]:
        pipe.send_bytes(pickle.dumps((operation, arguments)))
        if not pipe.poll(self._patience):
            raise Unreadable(f"the decoder did not answer within {self._patience:g} s and was stopped")
        answer = json.loads(pipe.recv_bytes(1 << 20))  # the child may be anything after a bad frame: no pickle from it
        shape, dtype = answer.pop("shape", (0,)), np.dtype(answer.pop("dtype", "u1"))
        buffer = bytearray(int(np.prod(shape)) * dtype.itemsize)
        if buffer:
            pipe.recv_bytes_into(buffer)
        return np.frombuffer(buffer, dtype).reshape(shape), answer


def decode_isolated(data: bytes, syntax: str, layout: PixelLayout) -> Decoded:
    """`decoders.decode_frame` in the process's sandbox."""
    array, answer = _SANDBOX.call("frame", bytes(data), syntax, layout)
    return Decoded(array, **answer)


def picture_isolated(data: bytes, frame: int | None) -> Image:
    """`picture.read_picture` in the process's sandbox."""
    array, answer = _SANDBOX.call("picture", data, frame)
    return Image(array, source=answer["source"], steps=tuple(answer["steps"]), frame=answer["frame"])


def _start() -> tuple[int, subprocess.Popen[bytes], Connection]:
    ours, theirs = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "medvlp.io.sandbox_child", str(theirs.fileno())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    theirs.close()
    return os.getpid(), process, ours


def _epitaph(status: int) -> str:
    """What to say of a child that is gone."""
    if status == -signal.SIGPROF:
        return "the decoder worked too long and was stopped"
    return f"the decoder crashed ({signal.Signals(-status).name if status < 0 else f'exit status {status}'})"


_SANDBOX = Sandbox()
