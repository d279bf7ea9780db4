"""Data sets -> `Manifest` -> prepared `Store` -> `Batch`.

Belongs here: sources, manifests, what `prepare` writes and training reads, augmentation. May import: io, reports,
knowledge, phantom. Begin with `manifest.py`, then `preparation.py` and `store.py`; a data set is a file of `sources/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlp.lazy import lazy_names

if TYPE_CHECKING:
    from medvlp.data.augment import Augment, random_view
    from medvlp.data.base_preprocess import PreprocessError
    from medvlp.data.batch import Batch
    from medvlp.data.data_issues import DataIssue, find_data_issues
    from medvlp.data.executors import RayExecutor, prepare_on
    from medvlp.data.indexing import SOURCES, SourceError, index_data_set, register_source
    from medvlp.data.loader import BatchLoader
    from medvlp.data.manifest import Manifest, ManifestError, splits_by_patient
    from medvlp.data.preparation import prepare, prepare_part
    from medvlp.data.preprocess import Preprocess
    from medvlp.data.store import Store, StoreError
    from medvlp.data.volume_augment import VolumeAugment
    from medvlp.data.volume_preprocess import VolumePreprocess

_MODULES = {
    "augment": ("Augment", "random_view"),
    "batch": ("Batch",),
    "data_issues": ("DataIssue", "find_data_issues"),
    "executors": ("RayExecutor", "prepare_on"),
    "indexing": ("SOURCES", "SourceError", "index_data_set", "register_source"),
    "loader": ("BatchLoader",),
    "manifest": ("Manifest", "ManifestError", "splits_by_patient"),
    "preparation": ("prepare", "prepare_part"),
    "base_preprocess": ("PreprocessError",),
    "preprocess": ("Preprocess",),
    "store": ("Store", "StoreError"),
    "volume_augment": ("VolumeAugment",),
    "volume_preprocess": ("VolumePreprocess",),
}
_LAZY = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "SOURCES",
    "Augment",
    "Batch",
    "BatchLoader",
    "DataIssue",
    "Manifest",
    "ManifestError",
    "Preprocess",
    "PreprocessError",
    "RayExecutor",
    "SourceError",
    "Store",
    "StoreError",
    "VolumeAugment",
    "VolumePreprocess",
    "find_data_issues",
    "index_data_set",
    "prepare",
    "prepare_on",
    "prepare_part",
    "random_view",
    "register_source",
    "splits_by_patient",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
