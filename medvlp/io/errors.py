"""`ReadError`: the one exception by which a reader refuses a file."""

from __future__ import annotations

from pathlib import Path


class ReadError(Exception):
    """A file that cannot be read, or cannot be trusted.

    Attributes:
        path: the file.
        reason: what is wrong and what to do, without any identifying value; it goes to the quarantine table.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ReadError], tuple[Path, str]]:
        return type(self), (self.path, self.reason)  # crosses process boundaries with its two fields


class Unreadable(Exception):
    """Raised inside `medvlp.io` where the path is not known; the reader that knows it turns it into a `ReadError`.

    Its text is the reason: it names tags and syntaxes, never a value that could identify somebody.
    """
