"""Metrics, each with a 95 % interval from resampling patients.

Functions of numpy arrays: no torch, no models, no files; imports nothing but numpy and scipy.
Begin with `bootstrap_by_patient` in `intervals.py`; the metrics lie in one file for each kind of task.
"""

from medvlp.metrics.classification import (
    FALSE_POSITIVE_RATES,
    auroc,
    average_precision,
    finding_aurocs,
    macro_auroc,
    roc_curve,
)
from medvlp.metrics.grounding import box_mask, cnr, miou, pointing_game
from medvlp.metrics.intervals import (
    Estimate,
    bootstrap_by_patient,
    bootstrap_values,
    group_mean,
    image_mean,
    interval_unknown,
    paired_difference,
)
from medvlp.metrics.retrieval import finding_overlap, precision_at_k, recall_at_k
from medvlp.metrics.seeds import estimate_over_seeds, seed_spread
from medvlp.metrics.segmentation import (
    dice,
    dice_empty_is_one,
    dice_foreground,
    dice_per_image,
    dice_with_background,
    mask_areas,
)

__all__ = [
    "FALSE_POSITIVE_RATES",
    "Estimate",
    "auroc",
    "average_precision",
    "bootstrap_by_patient",
    "bootstrap_values",
    "box_mask",
    "cnr",
    "dice",
    "dice_empty_is_one",
    "dice_foreground",
    "dice_per_image",
    "dice_with_background",
    "estimate_over_seeds",
    "finding_aurocs",
    "finding_overlap",
    "group_mean",
    "image_mean",
    "interval_unknown",
    "macro_auroc",
    "mask_areas",
    "miou",
    "paired_difference",
    "pointing_game",
    "precision_at_k",
    "recall_at_k",
    "roc_curve",
    "seed_spread",
]
