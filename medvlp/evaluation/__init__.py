"""Measuring a trained model: one file a task, one protocol for all of them, each figure with its interval.

May import every room before it, `tasks` last; nothing there imports this one.
Begin with `task.py` (what a measured task is) and `label.py` (the one most used); docs/adding-a-task.md adds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlp.lazy import lazy_names

if TYPE_CHECKING:
    from medvlp.evaluation.compare_methods import ComparisonResult, compare_methods
    from medvlp.evaluation.grounding import GroundingOptions, GroundingResult, evaluate_grounding
    from medvlp.evaluation.label import LabelResult, compare_auroc, evaluate_labels, label_result, labeled_rows
    from medvlp.evaluation.label_scores import LabelScores
    from medvlp.evaluation.protocol import Protocol
    from medvlp.evaluation.result import Result
    from medvlp.evaluation.retrieval import RetrievalResult, evaluate_retrieval
    from medvlp.evaluation.segmentation import SegmentationResult, compare_dice, evaluate_segmentation
    from medvlp.evaluation.task import TASKS, EvaluationTask, TaskOptions, evaluate, options_of, register

_LAZY = {
    "ComparisonResult": "compare_methods",
    "EvaluationTask": "task",
    "GroundingOptions": "grounding",
    "GroundingResult": "grounding",
    "LabelResult": "label",
    "LabelScores": "label_scores",
    "Protocol": "protocol",
    "Result": "result",
    "RetrievalResult": "retrieval",
    "SegmentationResult": "segmentation",
    "TASKS": "task",
    "TaskOptions": "task",
    "compare_auroc": "label",
    "compare_dice": "segmentation",
    "compare_methods": "compare_methods",
    "evaluate": "task",
    "options_of": "task",
    "evaluate_grounding": "grounding",
    "evaluate_labels": "label",
    "evaluate_retrieval": "retrieval",
    "evaluate_segmentation": "segmentation",
    "label_result": "label",
    "labeled_rows": "label",
    "register": "task",
}

__all__ = [
    "TASKS",
    "ComparisonResult",
    "EvaluationTask",
    "GroundingOptions",
    "GroundingResult",
    "LabelResult",
    "LabelScores",
    "Protocol",
    "Result",
    "RetrievalResult",
    "SegmentationResult",
    "TaskOptions",
    "compare_auroc",
    "compare_dice",
    "compare_methods",
    "evaluate",
    "evaluate_grounding",
    "evaluate_labels",
    "evaluate_retrieval",
    "evaluate_segmentation",
    "label_result",
    "labeled_rows",
    "options_of",
    "register",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
