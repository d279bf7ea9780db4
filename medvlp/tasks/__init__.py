"""What people do with a trained model: label, segment, retrieve, ground, and measure how well it does.

`medvlp.load(folder)` gives a `Model` with all verbs; fine-tuning is `medvlp.tasks.finetune.finetune(recipe, out)`.
"""

from medvlp.tasks.build_index import index_store, index_table
from medvlp.tasks.errors import TaskError
from medvlp.tasks.evaluate_grounding import GroundingResult, evaluate_grounding
from medvlp.tasks.evaluate_retrieval import RetrievalResult, evaluate_retrieval
from medvlp.tasks.evaluate_segmentation import SegmentationResult, compare_dice, evaluate_segmentation
from medvlp.tasks.evaluate_zero_shot import evaluate_zero_shot
from medvlp.tasks.model import Model, load
from medvlp.tasks.report_index import ReportIndex
from medvlp.tasks.zero_shot_result import ZeroShotResult, compare

__all__ = [
    "GroundingResult",
    "Model",
    "ReportIndex",
    "RetrievalResult",
    "SegmentationResult",
    "TaskError",
    "ZeroShotResult",
    "compare",
    "compare_dice",
    "evaluate_grounding",
    "evaluate_retrieval",
    "evaluate_segmentation",
    "evaluate_zero_shot",
    "index_store",
    "index_table",
    "load",
]
