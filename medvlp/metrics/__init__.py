"""What is measured, each with its 95 % interval from resampling patients. numpy only."""

from medvlp.metrics.auroc import auroc, finding_aurocs, macro_auroc
from medvlp.metrics.average_precision import average_precision
from medvlp.metrics.bootstrap import bootstrap_by_patient, paired_difference, resample
from medvlp.metrics.boxes import box_mask
from medvlp.metrics.cnr import cnr
from medvlp.metrics.dice import dice, dice_empty_is_one, dice_foreground, dice_of_each, dice_with_background, mask_areas
from medvlp.metrics.estimate import Estimate
from medvlp.metrics.image_mean import group_mean, image_mean
from medvlp.metrics.miou import miou
from medvlp.metrics.pointing_game import pointing_game
from medvlp.metrics.retrieval import finding_overlap, precision_at_k, recall_at_k
from medvlp.metrics.roc_curve import FALSE_POSITIVE_RATES, roc_curve
from medvlp.metrics.seeds import estimate_over_seeds, seed_spread

__all__ = [
    "FALSE_POSITIVE_RATES",
    "Estimate",
    "auroc",
    "average_precision",
    "bootstrap_by_patient",
    "box_mask",
    "cnr",
    "dice",
    "dice_empty_is_one",
    "dice_foreground",
    "dice_of_each",
    "dice_with_background",
    "estimate_over_seeds",
    "finding_aurocs",
    "finding_overlap",
    "group_mean",
    "image_mean",
    "macro_auroc",
    "mask_areas",
    "miou",
    "paired_difference",
    "pointing_game",
    "precision_at_k",
    "recall_at_k",
    "resample",
    "roc_curve",
    "seed_spread",
]
