"""Files by their names: a name that two files have is never looked up in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medvlp.data.indexing import files_by_name
from medvlp.data.indexing.named_files import AmbiguousFileError

Layout = Callable[..., Path]


def test_the_releases_own_folder_wins(layout: Layout) -> None:
    root = layout({}, ["images_001/images/a.png", "images_002/images/b.png", "images-224/a.png", "old/images/b.png"])
    files = files_by_name(root, [".png"], prefer=["images", "images_0*/images"])
    assert files["a.png"] == root / "images_001/images/a.png"
    assert files["b.png"] == root / "images_002/images/b.png"
    assert files.get("c.png") is None


def test_else_both_are_named(layout: Layout) -> None:
    root = layout({}, ["0/a.png", "copy/a.png", "copy/b.png"])
    files = files_by_name(root, [".png"])
    with pytest.raises(AmbiguousFileError, match=r"'a\.png' is the name of two files, .*0/a\.png and .*copy/a\.png"):
        files.get("a.png")
    assert files["b.png"].parent.name == "copy"


def test_names_without_their_ending(layout: Layout) -> None:
    root = layout({}, ["a/1.2.3.dcm", "b/7.PNG", "b/8.txt"])
    assert sorted(files_by_name(root, [".dcm", ".png"], without_ending=True)) == ["1.2.3", "7"]
