"""The child of `medvlp.io.sandbox`: decodes what it is sent until the pipe closes."""

from __future__ import annotations

import json
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from numpy.typing import NDArray

from medvlp.io.decoders import decode_frame
from medvlp.io.errors import Unreadable
from medvlp.io.picture import read_picture
from medvlp.io.pixel_layout import PixelLayout

MAX_PRIVATE_BYTES = 2 << 30
MAX_SECONDS = 20.0  # of processor time for one request: a busy machine makes no honest file late


def _frame(data: bytes, syntax: str, layout: PixelLayout) -> tuple[NDArray[Any], dict[str, Any]]:
    decoded = decode_frame(data, syntax, layout)
    return decoded.array, {"photometric": decoded.photometric, "sign_at": decoded.sign_at}


def _picture(data: bytes, frame: int | None) -> tuple[NDArray[Any], dict[str, Any]]:
    image = read_picture(data, frame)
    return image.array, {"source": image.source, "steps": image.steps, "frame": image.frame}


OPERATIONS: dict[str, Callable[..., tuple[NDArray[Any], dict[str, Any]]]] = {"frame": _frame, "picture": _picture}


def serve(pipe: Connection) -> None:
    """Answer requests (operation, arguments) with a JSON header and the bytes of an array, until the parent is gone."""
    while True:
        try:
            operation, arguments = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)  # SIGPROF ends the process, also inside a decoder
        try:
            array, answer = OPERATIONS[operation](*arguments)
        except Unreadable as reason:
            _send(pipe, refused=str(reason))
        except MemoryError:
            _send(pipe, refused=f"the decoder needs more than {MAX_PRIVATE_BYTES >> 30} GiB")
        else:
            signal.setitimer(signal.ITIMER_PROF, 0)
            _send(pipe, **answer, shape=array.shape, dtype=array.dtype.str)
            if array.size:
                pipe.send_bytes(array.tobytes())


def _send(pipe: Connection, **answer: Any) -> None:
    pipe.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_PRIVATE_BYTES, MAX_PRIVATE_BYTES))
    serve(Connection(int(sys.argv[1])))
