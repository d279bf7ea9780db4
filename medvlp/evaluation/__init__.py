"""Measuring a trained model: protocols, statistics and results, each figure with its interval."""

from medvlp.evaluation.evaluate_grounding import GroundingResult, evaluate_grounding
from medvlp.evaluation.evaluate_retrieval import RetrievalResult, evaluate_retrieval
from medvlp.evaluation.evaluate_segmentation import SegmentationResult, compare_dice, evaluate_segmentation
from medvlp.evaluation.evaluate_zero_shot import evaluate_zero_shot
from medvlp.evaluation.zero_shot_result import ZeroShotResult, compare

__all__ = [
    "GroundingResult",
    "RetrievalResult",
    "SegmentationResult",
    "ZeroShotResult",
    "compare",
    "compare_dice",
    "evaluate_grounding",
    "evaluate_retrieval",
    "evaluate_segmentation",
    "evaluate_zero_shot",
]
