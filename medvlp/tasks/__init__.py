"""Using a trained model: label, embed, segment, retrieve, ground. `load(folder)` gives a `Model` with all verbs.

May import every room before it, `training` last; measuring what a model does belongs to `evaluation`.
Begin with `model.py`, then `inference.py` (rows of a store, or files, through a model).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlp.lazy import lazy_names

if TYPE_CHECKING:
    from medvlp.tasks.admission import Admission, TaskError
    from medvlp.tasks.build_index import index_store, index_table
    from medvlp.tasks.embed import embed_images, embed_rows, embed_texts
    from medvlp.tasks.ground import ground_files
    from medvlp.tasks.inference import run_files, run_rows
    from medvlp.tasks.label import label_files
    from medvlp.tasks.model import Model, load
    from medvlp.tasks.report_index import ReportIndex
    from medvlp.tasks.segment import SegmentedFile, segment_files

_LAZY = {
    "Admission": "admission",
    "Model": "model",
    "ReportIndex": "report_index",
    "SegmentedFile": "segment",
    "TaskError": "admission",
    "embed_images": "embed",
    "embed_rows": "embed",
    "embed_texts": "embed",
    "ground_files": "ground",
    "index_store": "build_index",
    "index_table": "build_index",
    "label_files": "label",
    "load": "model",
    "run_files": "inference",
    "run_rows": "inference",
    "segment_files": "segment",
}

__all__ = [
    "Admission",
    "Model",
    "ReportIndex",
    "SegmentedFile",
    "TaskError",
    "embed_images",
    "embed_rows",
    "embed_texts",
    "ground_files",
    "index_store",
    "index_table",
    "label_files",
    "load",
    "run_files",
    "run_rows",
    "segment_files",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
