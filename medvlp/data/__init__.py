"""Data sets -> manifest -> prepared store -> batches. Torch is imported with the names that need it, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medvlp.data.augment import Augment
    from medvlp.data.batch import Batch
    from medvlp.data.engine import RayEngine, prepare_on
    from medvlp.data.loader import BatchLoader
    from medvlp.data.manifest import Manifest, ManifestError
    from medvlp.data.preparation import prepare, prepare_part
    from medvlp.data.preprocess import Preprocess
    from medvlp.data.store import Store
    from medvlp.data.volume_augment import VolumeAugment
    from medvlp.data.volume_preprocess import VolumePreprocess

_LAZY = {
    "Augment": "medvlp.data.augment",
    "Batch": "medvlp.data.batch",
    "BatchLoader": "medvlp.data.loader",
    "Manifest": "medvlp.data.manifest",
    "ManifestError": "medvlp.data.manifest",
    "Preprocess": "medvlp.data.preprocess",
    "RayEngine": "medvlp.data.engine",
    "Store": "medvlp.data.store",
    "VolumeAugment": "medvlp.data.volume_augment",
    "VolumePreprocess": "medvlp.data.volume_preprocess",
    "prepare": "medvlp.data.preparation",
    "prepare_on": "medvlp.data.engine",
    "prepare_part": "medvlp.data.preparation",
}

__all__ = [
    "Augment",
    "Batch",
    "BatchLoader",
    "Manifest",
    "ManifestError",
    "Preprocess",
    "RayEngine",
    "Store",
    "VolumeAugment",
    "VolumePreprocess",
    "prepare",
    "prepare_on",
    "prepare_part",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'medvlp.data' has no attribute {name!r}; it has {', '.join(__all__)}")
