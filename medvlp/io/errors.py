"""`ReadError`: the one exception by which a reader refuses a file; `as_read_error` turns everything else into it."""

from __future__ import annotations

import logging
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from medvlp.errors import MedVLPError


class ReadError(MedVLPError):
    """A file that cannot be read, or cannot be trusted.

    Attributes:
        path: the file.
        reason: what is wrong and what to do, without any identifying value; it goes to the quarantine table.

    Examples:
        >>> ReadError("x.dcm", "the file is empty").reason
        'the file is empty'
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ReadError], tuple[Path, str]]:
        return type(self), (self.path, self.reason)  # crosses process boundaries with its two fields


class FormatError(Exception):
    """Raised inside `medvlp.io` where the path is not known; the reader that knows it turns it into a `ReadError`.

    Its text is the reason: it names tags and syntaxes, never a value that could identify a patient.
    """


@contextmanager
def as_read_error(path: str | Path) -> Iterator[Path]:
    """Run a reader; pydicom's and Pillow's warnings, which quote values, are silenced while it runs.

    Raises:
        ReadError: the reader refused, or failed in a way that nobody foresaw; then the reason names the line of
            code and not the text of the exception, which may quote a value.
    """
    try:
        with _QUIET:
            yield Path(path)
    except ReadError:
        raise
    except FormatError as reason:
        raise ReadError(path, str(reason)) from None
    except MemoryError:
        raise ReadError(path, "not enough memory to read it") from None
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(line.filename).name}:{line.lineno}"
        raise ReadError(path, f"the reader failed with {type(error).__name__} at {where}; please report it") from None


class _Quiet:
    """Silences pydicom and `warnings` from the first reader that enters to the last that leaves, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._undo = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers > 1:
                return
            from pydicom import config  # here, so that who only catches `ReadError` does not wait for pydicom

            logger = logging.getLogger("pydicom")
            self._undo.callback(setattr, logger, "disabled", logger.disabled)
            logger.disabled = True
            self._undo.enter_context(config.disable_value_validation())
            self._undo.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._undo.close()


_QUIET = _Quiet()


def open_file(path: Path) -> BinaryIO:
    """The file, open for reading, or a `FormatError` that says why not."""
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise FormatError("no such file") from None
    except IsADirectoryError:
        raise FormatError("is a folder, not a file") from None
    except OSError as error:
        raise FormatError(f"cannot be opened ({error.strerror})") from None


def read_bytes(path: Path) -> bytes:
    """The whole file, or a `FormatError` that says why not."""
    with open_file(path) as stream:
        data = stream.read()
    if not data:
        raise FormatError("the file is empty")
    return data
