"""Measuring a trained model: protocols, statistics and results, each figure with its interval."""

from medvlp.evaluation.grounding import GroundingResult, evaluate_grounding
from medvlp.evaluation.label import LabelResult, compare_auroc, evaluate_labels
from medvlp.evaluation.retrieval import RetrievalResult, evaluate_retrieval
from medvlp.evaluation.segmentation import SegmentationResult, compare_dice, evaluate_segmentation

__all__ = [
    "GroundingResult",
    "LabelResult",
    "RetrievalResult",
    "SegmentationResult",
    "compare_auroc",
    "compare_dice",
    "evaluate_grounding",
    "evaluate_labels",
    "evaluate_retrieval",
    "evaluate_segmentation",
]
