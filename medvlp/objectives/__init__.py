"""Losses and targets: pure functions of tensors, each usable outside of the package.

May import models (for their precision and for the ranks of a distributed run) and everything before it.
Begin with `contrast` (InfoNCE with any targets) and `targets` (which text is right for which image).
"""

from __future__ import annotations

from medvlp.objectives.classification import (
    Uncertain,
    Unmentioned,
    bag_cross_entropy,
    bag_of_words,
    labels_and_mask,
    masked_bce,
    per_sample_bce,
    unmentioned_as_negative,
)
from medvlp.objectives.contrast import info_nce, multi_positive_nce, sigmoid_contrast
from medvlp.objectives.geometry import effective_rank, gram_orthogonality, pair_alignment
from medvlp.objectives.group_metric import LabelGroups, group_metric_loss, label_groups
from medvlp.objectives.local_contrast import global_local_contrast, token_alignment_loss, token_weights
from medvlp.objectives.masked_tokens import MaskedTokens, mask_tokens, masked_token_loss, word_token_mask
from medvlp.objectives.patch_similarity import (
    attention_region,
    late_interaction,
    manifold_mix,
    patch_sentence_similarity,
    top_patch_mean,
    top_patch_similarity,
)
from medvlp.objectives.prototypes import sinkhorn, swapped_prediction
from medvlp.objectives.sampling import SampledSentences, join_sentences, row_hash, sample_concepts, sample_sentences
from medvlp.objectives.segmentation import NOT_ANNOTATED, pixel_bce, soft_dice
from medvlp.objectives.soft_targets import (
    label_affinity,
    momentum_target,
    self_similarity,
    signed_labels,
    soft_contrast,
)
from medvlp.objectives.targets import (
    TargetKind,
    ancestor_matrix,
    concept_targets,
    jaccard,
    label_targets,
    sentence_targets,
    target_ancestors,
    target_matrix,
)
from medvlp.objectives.triples import (
    over_findings,
    place_contrast,
    prototypical_contrast,
    relation_prototypes,
    sample_negatives,
)
from medvlp.objectives.word_patch import word_patch_similarity

__all__ = [
    "NOT_ANNOTATED",
    "LabelGroups",
    "MaskedTokens",
    "SampledSentences",
    "TargetKind",
    "Uncertain",
    "Unmentioned",
    "ancestor_matrix",
    "attention_region",
    "bag_cross_entropy",
    "bag_of_words",
    "concept_targets",
    "effective_rank",
    "global_local_contrast",
    "gram_orthogonality",
    "group_metric_loss",
    "info_nce",
    "jaccard",
    "join_sentences",
    "label_affinity",
    "label_groups",
    "label_targets",
    "labels_and_mask",
    "late_interaction",
    "manifold_mix",
    "mask_tokens",
    "masked_bce",
    "masked_token_loss",
    "momentum_target",
    "multi_positive_nce",
    "over_findings",
    "pair_alignment",
    "patch_sentence_similarity",
    "per_sample_bce",
    "pixel_bce",
    "place_contrast",
    "prototypical_contrast",
    "relation_prototypes",
    "row_hash",
    "sample_concepts",
    "sample_negatives",
    "sample_sentences",
    "self_similarity",
    "sentence_targets",
    "sigmoid_contrast",
    "signed_labels",
    "sinkhorn",
    "soft_contrast",
    "soft_dice",
    "swapped_prediction",
    "target_ancestors",
    "target_matrix",
    "token_alignment_loss",
    "token_weights",
    "top_patch_mean",
    "top_patch_similarity",
    "unmentioned_as_negative",
    "word_patch_similarity",
    "word_token_mask",
]
