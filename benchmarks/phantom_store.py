"""A small prepared store of generated studies, made once for each name and kept in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medvlp.data import Preprocess, Store, index_data_set, prepare
from medvlp.phantom import generate


def phantom_store(folder: Path, patients: int, size: int, name: str = "phantom", **config: Any) -> Store:
    """The store of `patients` generated patients at `size` pixels; `folder` keeps it for the next call.

    Args:
        name: of this phantom; its archive, with the ground truth, is beside the store as `<name>-...-archive`.
        config: other settings of `generate`, such as `prevalence`.
    """
    made = folder / f"{name}-{patients}-{size}"
    if not (made / "store.json").exists():
        archive = truth_of(made).parent.parent
        if not truth_of(made).exists():
            generate(archive, patients, seed=0, size=max(size, 128), **config)
        prepare(index_data_set("phantom", archive), made, Preprocess(size=size))
    return Store.open(made)


def truth_of(store: Path) -> Path:
    """The table of what is in each image."""
    return store.with_name(f"{store.name}-archive") / "truth" / "images.csv"
