"""Either all files are replaced or none is, whatever interrupts the writing."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from medvlp.io.atomic_write import DiskFullError, atomic_folder


def test_files_replace_those_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "stays").write_text("old")
    with atomic_folder(tmp_path) as staging:
        (staging / "a").write_text("new")
        (staging / "sub").mkdir()
        (staging / "sub" / "b").write_text("new")
    found = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"a": "new", "stays": "old", "sub/b": "new"}
    assert not list(tmp_path.glob(".partial*"))


def test_an_error_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def write() -> None:
        with atomic_folder(tmp_path) as staging:
            (staging / "a").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_full_disk_leaves_the_old_files_and_says_so(tmp_path: Path) -> None:
    """A file size limit stands in for the full disk: the kernel fails the write in the same place."""
    (tmp_path / "a").write_text("old")

    def write() -> None:
        with atomic_folder(tmp_path) as staging:
            (staging / "0").write_text("small enough")
            (staging / "a").write_bytes(bytes(10_000_000))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(DiskFullError, match="its earlier files are intact") as caught:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(tmp_path) in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_kill_leaves_the_old_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from medvlp.io.atomic_write import atomic_folder\n"
        "with atomic_folder(Path(sys.argv[1])) as staging:\n"
        "    (staging / 'a').write_text('new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    assert (tmp_path / "a").read_text() == "old"
    with atomic_folder(tmp_path) as staging:
        assert not list(staging.iterdir())  # what the killed process left is gone


def test_other_errors_are_not_called_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError), atomic_folder(tmp_path / "file" / "below"):
        pass
