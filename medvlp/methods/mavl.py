"""MAVL: a finding is described along visual aspects, which findings that were never seen share with those that were.

The idea (Phan et al.: Decomposing disease descriptions for enhanced pathology detection: a multi-aspect vision-language
pre-training framework, CVPR 2024): a name or a definition is a poor question. How dense, of what shape, with which
border, where: each aspect of a finding asks for itself, and the answers are read together.

    L = L_presence + L_place + 0.1 (L_i2t + L_t2i)

With q_ek aspect k of finding e as a query, p_b the patches of image b, g_b their attention pooling, C_l the sentence of
place l and C_0 "It is not present.":

    o_bek       = decoder(q_ek; M(p_b))
    L_presence    BCE of w [o_be1 ... o_beK] + c where y_be is known
    L_place       <U [o_be1 ... o_beK], C_+> against 7 of the other places and C_0; see `place_contrast`
    L_i2t, L_t2i  mean_k of the two directions of a multi-positive contrast of cos(g_b, q_ek) / tau_k

Faithful: both heads, aspects side by side in one order, a temperature for each aspect, silence as a negative of the
global contrast, the weights.
Departs: the book has a definition and six aspects (density, shape, border, place, distribution, secondary signs) in our
own words, where the paper has eight written by a language model: opacity, shape, border, location and pattern have
theirs, texture and fluid have none of their own, and `other` is the secondary signs. The targets of the global contrast
are normalized (in the paper an image with six findings weighs six times as much), and what is uncertain leaves them.
Two logits are one. Queries ignore each other, keys carry positions, texts are centered: see `QueryNetwork`. The text
tower learns (`text_encoder.freeze` is the paper). What a report leaves unmentioned counts as absent in L_presence too
(`unmentioned: ignore` is the paper). L_place is the mean over a finding's true places, where the paper draws one. M has
a ReLU for a PReLU; the attention pooling 4 heads for 8, and no code of places.

Zero-shot: any finding of the book is asked by its aspects. One that the book lacks is asked by the mean of the trained
texts, where the paper has all nine of each finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, EncodedKnowledge, Facets, MethodParts, Options, register_method
from medvlp.methods.query_network import QueryNetwork, QueryOptions, patch_perceptron, require_places
from medvlp.models import AttentionPool, ImageFeatures, Temperature, TextFeatures, cosines, place_features
from medvlp.objectives import multi_positive_nce, place_contrast
from medvlp.reports.states import FindingState


class MAVLOptions(QueryOptions):
    """Settings of `mavl`, beside those of `QueryOptions`.

    Attributes:
        aspects: facets of the book that ask for a finding, side by side; a model keeps those that it was trained with.
        negatives: wrong places against which a true one is held.
        presence_weight, place_weight, global_weight: of the losses; the global one is the mean of its two directions,
            so that 0.2 is the paper's 0.1 for their sum.
    """

    aspects: Facets = ("definition", "density", "shape", "border", "place", "distribution", "secondary_signs")
    negatives: PositiveInt = 7
    presence_weight: NonNegativeFloat = 1.0
    place_weight: NonNegativeFloat = 1.0
    global_weight: NonNegativeFloat = 0.2


@register_method("mavl")
class MAVL(QueryNetwork):
    """Aspect queries and two heads; see the top of the file."""

    Options: ClassVar[type[Options]] = MAVLOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.FINDINGS, BatchField.PLACES})
    options: MAVLOptions

    def __init__(self, parts: MethodParts, options: MAVLOptions) -> None:
        image_dim, text_dim, width = parts.image_encoder.dim, parts.text_encoder.dim, options.decoder_width
        super().__init__(parts, options, patch_perceptron(image_dim, width), text_dim, len(options.aspects))
        self.to_place = nn.Linear(len(options.aspects) * width, text_dim)
        self.pool = AttentionPool(image_dim, out_dim=width)
        self.aspect_scales = nn.ModuleList(Temperature() for _ in options.aspects)

    def query_texts(self, finding: str) -> tuple[str, ...]:
        """What the book says of each aspect, in the order of `aspects`.

        Raises:
            ValueError: it says nothing of any of them.
        """
        texts = tuple(self.book.text(finding, aspect) or "" for aspect in self.options.aspects)
        if not any(texts):
            raise ValueError(
                f"the book {self.book.name} says nothing of {finding} in {', '.join(self.options.aspects)}; name "
                "another aspect in options.aspects"
            )
        return texts

    def encode(self, batch: Batch) -> Encoded:
        """The images, the queries of the findings, and the sentences of the places and of absence."""
        image, queries = self.image_encoder(batch.images), self.encode_queries(self.trained_texts)
        return Encoded(image, knowledge=replace(queries, places=place_features(self.bank, absent=True)))

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o, knowledge = self.options, encoded.knowledge
        assert knowledge is not None
        assert knowledge.places is not None
        answers, _ = self.decode_queries(encoded.image, knowledge.vectors)
        return {
            "presence": o.presence_weight * self.presence_loss(batch, answers),
            "place": o.place_weight * self._place_loss(batch, answers, knowledge.places),
            "global": o.global_weight * self._global_contrast(batch, encoded.image, knowledge),
        }

    def _place_loss(self, batch: Batch, answers: Tensor, places: Tensor) -> Tensor:
        """L_place."""
        scores = cosines(self.to_place(answers), places)
        return place_contrast(scores, require_places(batch), self.options.negatives, self.training, self.ranks)

    def _global_contrast(self, batch: Batch, features: ImageFeatures, knowledge: EncodedKnowledge) -> Tensor:
        """L_i2t and L_t2i. An aspect that the book lacks for a finding does not count."""
        image, has_report = F.normalize(self.pool(features.patches).float(), dim=-1), batch.report_mask.any(1)
        queries, known = knowledge.vectors, knowledge.known
        assert known is not None
        aspects = [
            multi_positive_nce(
                scale(cosines(image, F.normalize(queries[:, k].float(), dim=-1))),
                batch.findings.masked_fill(~known[:, k], FindingState.UNCERTAIN),
                "negative",
                has_report=has_report,
                ranks=self.ranks,
            )
            for k, scale in enumerate(self.aspect_scales)
        ]
        return torch.stack(aspects).mean()

    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        """`global_` is the pooled image, in the space of queries."""
        return replace(features, global_=self.pool(features.patches), patches=self.to_memory(features.patches))

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Texts as queries, with which the global contrast compares images."""
        features = super().encode_texts(texts)
        return replace(features, global_=self.to_query(features.global_), tokens=self.to_query(features.tokens))
