"""Published systems, one a file: what each encodes, its losses, its way to score a finding.

Imports models, objectives and the rooms before them. Begin with `base.py`, then read `clip.py`.
"""

from medvlp.methods.auxiliary.base import (
    AUXILIARY,
    Augmentation,
    AugmentedBatch,
    AuxiliaryLoss,
    AuxiliaryOptions,
    register_auxiliary,
)
from medvlp.methods.base import (
    METHODS,
    Encoded,
    EncodedKnowledge,
    EncodedSentences,
    Method,
    MethodParts,
    Options,
    build_method,
    register_method,
)
from medvlp.methods.dual_encoder import DualEncoder, report_contrast, report_pair_mask
from medvlp.methods.pretraining_objective import PretrainingObjective
from medvlp.methods.query_network import QueryNetwork

__all__ = [
    "AUXILIARY",
    "METHODS",
    "Augmentation",
    "AugmentedBatch",
    "AuxiliaryLoss",
    "AuxiliaryOptions",
    "DualEncoder",
    "Encoded",
    "EncodedKnowledge",
    "EncodedSentences",
    "Method",
    "MethodParts",
    "Options",
    "PretrainingObjective",
    "QueryNetwork",
    "build_method",
    "register_auxiliary",
    "register_method",
    "report_contrast",
    "report_pair_mask",
]
