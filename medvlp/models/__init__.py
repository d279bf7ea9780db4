"""Encoders, decoders, heads and other modules with parameters or state; they return features and know no method.

May import io, reports, knowledge, data and metrics. A new encoder is one file that registers itself in `encoders`.
Begin with `encoders` (what an encoder returns), then `image_encoder` and `text_encoder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlp.lazy import lazy_names

if TYPE_CHECKING:
    from medvlp.models.encoders import ImageFeatures, TextFeatures, image_encoders, text_encoders
    from medvlp.models.heads import (
        BatchNormProjector,
        DisentanglingGate,
        MaskedBatchNorm,
        MaskedTokenHead,
        ProjectionHead,
        PrototypeHead,
    )
    from medvlp.models.image_encoder import (
        DEFAULT_IMAGE_ENCODER,
        ImageEncoder,
        PatchesDroppedError,
        build_image_encoder,
    )
    from medvlp.models.knowledge_features import (
        KnowledgePairs,
        LabelCaptions,
        TextPairs,
        book_features,
        book_texts,
        knowledge_texts,
        place_features,
        retrieve_facets,
    )
    from medvlp.models.pooling import AttentionPool, WordPooling, pool_words, span_mean
    from medvlp.models.precision import at_least_float32, cosines, without_autocast
    from medvlp.models.query_decoder import QueryDecoder, RelationScorer, gaussian_smooth, grid_position
    from medvlp.models.ranks import ONE_RANK, OneRank, Ranks, mean_over_ranks, own_columns
    from medvlp.models.running_state import DocumentFrequency, FeatureQueue, MomentumEncoder
    from medvlp.models.segmentation import SegmentationNet, decoder_builders
    from medvlp.models.temperature import SigmoidScale, Temperature
    from medvlp.models.text_bank import TextBank
    from medvlp.models.text_encoder import TextEncoder, build_text_encoder
    from medvlp.models.tokenizer import ReportTokenizer, learn_wordpieces

# Lazily: timm and transformers are slow to import.
_FACE = {
    "encoders": "ImageFeatures TextFeatures image_encoders text_encoders",
    "heads": "BatchNormProjector DisentanglingGate MaskedBatchNorm MaskedTokenHead ProjectionHead PrototypeHead",
    "image_encoder": "DEFAULT_IMAGE_ENCODER ImageEncoder PatchesDroppedError build_image_encoder",
    "knowledge_features": "KnowledgePairs LabelCaptions TextPairs book_features book_texts knowledge_texts "
    "place_features retrieve_facets",
    "pooling": "AttentionPool WordPooling pool_words span_mean",
    "precision": "at_least_float32 cosines without_autocast",
    "query_decoder": "QueryDecoder RelationScorer gaussian_smooth grid_position",
    "ranks": "ONE_RANK OneRank Ranks mean_over_ranks own_columns",
    "running_state": "DocumentFrequency FeatureQueue MomentumEncoder",
    "segmentation": "SegmentationNet decoder_builders",
    "temperature": "SigmoidScale Temperature",
    "text_bank": "TextBank",
    "text_encoder": "TextEncoder build_text_encoder",
    "tokenizer": "ReportTokenizer learn_wordpieces",
}
_LAZY = {name: module for module, names in _FACE.items() for name in names.split()}

__all__ = [
    "DEFAULT_IMAGE_ENCODER",
    "ONE_RANK",
    "AttentionPool",
    "BatchNormProjector",
    "DisentanglingGate",
    "DocumentFrequency",
    "FeatureQueue",
    "ImageEncoder",
    "ImageFeatures",
    "KnowledgePairs",
    "LabelCaptions",
    "MaskedBatchNorm",
    "MaskedTokenHead",
    "MomentumEncoder",
    "OneRank",
    "PatchesDroppedError",
    "ProjectionHead",
    "PrototypeHead",
    "QueryDecoder",
    "Ranks",
    "RelationScorer",
    "ReportTokenizer",
    "SegmentationNet",
    "SigmoidScale",
    "Temperature",
    "TextBank",
    "TextEncoder",
    "TextFeatures",
    "TextPairs",
    "WordPooling",
    "at_least_float32",
    "book_features",
    "book_texts",
    "build_image_encoder",
    "build_text_encoder",
    "cosines",
    "decoder_builders",
    "gaussian_smooth",
    "grid_position",
    "image_encoders",
    "knowledge_texts",
    "learn_wordpieces",
    "mean_over_ranks",
    "own_columns",
    "place_features",
    "pool_words",
    "retrieve_facets",
    "span_mean",
    "text_encoders",
    "without_autocast",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
