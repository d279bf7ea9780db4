"""A small prepared store of generated studies, made once for each size and kept in a folder."""

from __future__ import annotations

from pathlib import Path

from medvlp.data import Preprocess, Store, prepare
from medvlp.data.phantom import generate
from medvlp.data.sources import load


def phantom_store(folder: Path, patients: int, size: int) -> Store:
    """The store of `patients` generated patients at `size` pixels; `folder` keeps it for the next call."""
    name = f"phantom-{patients}-{size}"
    if not (folder / name / "store.json").exists():
        archive = folder / f"{name}-archive"
        if not archive.exists():
            generate(archive, patients, seed=0, size=max(size, 128))
        prepare(load("mimic_cxr", archive), folder / name, Preprocess(size=size))
    return Store.open(folder / name)
