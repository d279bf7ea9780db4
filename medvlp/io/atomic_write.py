"""Files and folders that are there whole or not at all, also after kill -9 or on a full disk.

Written to a temporary name beside the target, forced to the disk (fsync), then renamed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DiskFullError(OSError):
    """There was no room for new files; what was there before is intact."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on success it takes the place of `path`, else it is removed.

    The name carries the process id, so that two processes that write the same file do not meet.

    Raises:
        DiskFullError: no room (or a file size limit); an earlier file is intact.

    Examples:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "table.csv"
        >>> with atomic_file(target) as partial:
        ...     _ = partial.write_text("a,b")
        >>> target.read_text()
        'a,b'
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
    except OSError as error:
        raise_if_full(error, f"{path} was not written, an earlier file is intact", path.parent)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give an empty staging folder; its files replace those of `folder` when the block ends without an error.

    Every file is on the disk before the first is renamed, so that a failure while writing changes nothing; each
    rename is atomic. Other files of `folder` stay. One process at a time writes to a folder.

    Raises:
        DiskFullError: no room (or a file size limit); names the folder and the room that is left.
    """
    staging = folder / ".partial"
    try:
        shutil.rmtree(staging, ignore_errors=True)  # of a killed process
        staging.mkdir(parents=True)
        yield staging
        files = sorted((path for path in staging.rglob("*") if path.is_file()), key=lambda p: (len(p.parts), p))
        for path in files:
            _to_disk(path)
        for path in files:
            target = folder / path.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        _to_disk(folder)
    except OSError as error:
        raise_if_full(error, f"nothing of {folder} was replaced, its earlier files are intact", folder)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def raise_if_full(error: OSError, consequence: str, folder: Path) -> None:
    """Raise DiskFullError, with what follows from it and the room that is left, if that is what `error` means."""
    if error.errno in _FULL:
        message = f"{error.strerror}: {consequence} ({_free_megabytes(folder)} MB are free)"
        raise DiskFullError(error.errno, message) from error


def _to_disk(path: Path) -> None:
    """Force a file's or folder's content to the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_megabytes(folder: Path) -> int:
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(existing).free // 2**20
