"""Writing the layouts of public data sets: tables in full, images as empty files (no manifest opens one)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Files = Callable[..., Path]


@pytest.fixture
def layout(tmp_path: Path) -> Files:
    """`layout({"table.csv": text}, ["images/a.png"])` writes tables and empty images below a new folder."""

    def write(tables: dict[str, str], images: Sequence[str] = ()) -> Path:
        for name, text in tables.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        for name in images:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return write
