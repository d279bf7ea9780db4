"""`refuse_path_conflicts`: no command writes over what it reads, or reads what it wrote."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from medvlp.errors import MedVLPError


class PathConflictError(MedVLPError, ValueError):
    """An output would replace an input, or be read as one by the next run."""


def refuse_path_conflicts(
    inputs: Iterable[str | Path], outputs: Iterable[str | Path | None], *, folders: bool = True
) -> None:
    """Raise where inputs and outputs of a command touch each other.

    Args:
        inputs: files and folders that it reads.
        outputs: files and folders that it writes; None where an option was not given.
        folders: also, an output must not lie inside an input folder, whose files are all read, nor an input inside an
            output folder.

    Raises:
        PathConflictError: an output is an input, holds one, or lies in one; or two outputs are one file. Links are
            followed; names both paths.

    Examples:
        >>> refuse_path_conflicts(["a.csv"], ["b.csv", None])
        >>> refuse_path_conflicts(["a.csv"], ["./a.csv"])
        Traceback (most recent call last):
        ...
        medvlp.io.paths.PathConflictError: a.csv is read and would be written: give the output another name
    """
    read = {_real(path): Path(path) for path in inputs}
    written: dict[Path, Path] = {}
    for path in (Path(path) for path in outputs if path is not None):
        real = _real(path)
        if real in written:
            raise PathConflictError(f"{path} would be written twice: give each output a name of its own")
        written[real] = path
        if real in read:
            raise PathConflictError(f"{path} is read and would be written: give the output another name")
        for source, given in read.items() if folders else ():
            if source.is_dir() and source in real.parents:
                raise PathConflictError(
                    f"{path} lies in {given}, which is read: the next run would read its own output; write elsewhere"
                )
            if real.is_dir() and real in source.parents:
                raise PathConflictError(
                    f"{given} is read and lies in {path}, where the output goes: give the output a folder of its own"
                )


def _real(path: str | Path) -> Path:
    return Path(path).resolve()
