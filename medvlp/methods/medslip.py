"""MeDSLIP: what and where as two streams of one image, which teach each other.

The idea (Fan et al.: MeDSLIP: Medical dual-stream language-image pre-training with pathology-anatomy semantic
alignment, arXiv 2403.10635): a report says what is there and where it is. So the patches of an image are split into a
stream of pathology and one of anatomy, each answers its own questions, and each is held against the other's book:

    m_bp = sigmoid(G x_bp + g)     x^f = m x     x^a = (1 - m) x                  the split: x^f + x^a = x
    f_be = decoder_f(W K^f_e; M_f x^f_b)     a_bl = decoder_a(W K^a_l; M_a x^a_b)

K^f_e is the definition of finding e, K^a_l the sentence "It is located at <place l>."; A_bel is what the report says of
finding e in place l, in four states, and y^f, y^a what it says of findings, and of places (is anything there?).

    L = L_f + L_a + L_fa + L_af + L_r

    L_f, L_a    BCE of linear maps of f_be and a_bl where y^f and y^a are known   existence
    L_fa        V_f f_be against the mean K^a_l with A_bel = 1, and 7 other K^a   ProtoCL
    L_af        V_a a_bl against the mean K^f_e with A_bel = 1, and 7 other K^f
    L_r         BCE of <a_bl, f_be> / sqrt(width) where A_bel is stated           ICL

Faithful: the split, a perceptron and a decoder for each stream, one map W for both kinds of queries, the five terms and
their weights, 7 negatives drawn among what is not marked as present (unmentioned places among them).
Departs: the gate has a sigmoid, which makes it a share; the authors' is unbounded (`gate: linear`). L_r is divided by
the root of the width, without which the products of layer-normed answers start saturated. Two-way cross-entropy is
written as BCE of one logit. Both books are centered; the text tower learns (`text_encoder.freeze`: the paper's).
y^f are the findings of the batch, to which a table of labels may add. Queries do not see each other, keys carry the
position of their patch, sizes are smaller, and what a report leaves unmentioned counts as absent in L_f and L_a
(`unmentioned: ignore` is the paper); see `QueryNetwork` for each.

Zero-shot: any finding of the book is asked of the pathology stream, score = sigmoid of its logit in L_f; `score_places`
asks the anatomy stream for places. The paper has no contrast of whole images with whole reports: for retrieval, an
image stands where ProtoCL has brought its answers among the texts, mean_e y_be V_f f_be + mean_l y_bl V_a a_bl.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.knowledge import PLACES, get_place
from medvlp.methods.base import Encoded, EncodedKnowledge, Facets, MethodParts, Options, register_method
from medvlp.methods.query_network import QueryNetwork, QueryOptions, patch_perceptron, require_places
from medvlp.models import DisentanglingGate, ImageFeatures, QueryDecoder, cosines, grid_position, place_features
from medvlp.objectives import Unmentioned, masked_bce, over_findings, prototypical_contrast


class MeDSLIPOptions(QueryOptions):
    """Settings of `medslip`, beside those of `QueryOptions`.

    Attributes:
        facets: facets of the book that are read of a finding, one after another as one text; the paper reads
            definitions.
        gate: of the split: a share between 0 and 1 (`sigmoid`), the authors' unbounded one (`linear`), or `none`, the
            ablation: one stream, with one perceptron, decoder and linear map, answers both kinds of questions.
        negatives: of the two prototype contrasts.
        unstated_relations: what a finding in a place counts as in L_r where the report does not say; see `masked_bce`.
        place_weight, prototype_weight, relation_weight: of L_a, of L_fa and L_af, of L_r; 0 leaves them out.
    """

    facets: Facets = ("definition",)
    gate: Literal["sigmoid", "linear", "none"] = "sigmoid"
    negatives: PositiveInt = 7
    unstated_relations: Unmentioned = "ignore"
    place_weight: NonNegativeFloat = 1.0
    prototype_weight: NonNegativeFloat = 1.0
    relation_weight: NonNegativeFloat = 1.0


@register_method("medslip")
class MeDSLIP(QueryNetwork):
    """Two streams; see the top of the file. What it is as a `QueryNetwork` is the pathology stream."""

    Options: ClassVar[type[Options]] = MeDSLIPOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset(
        {BatchField.REPORTS, BatchField.FINDINGS, BatchField.PLACES}
    )
    options: MeDSLIPOptions

    def __init__(self, parts: MethodParts, options: MeDSLIPOptions) -> None:
        dim, text_dim, width = parts.image_encoder.dim, parts.text_encoder.dim, options.decoder_width
        super().__init__(parts, options, patch_perceptron(dim, width, hidden=dim), text_dim)
        self.split = None if options.gate == "none" else DisentanglingGate(dim, bounded=options.gate == "sigmoid")
        if self.split is None:
            self.to_place_memory, self.place_decoder, self.place_presence = self.to_memory, self.decoder, self.presence
        else:
            self.to_place_memory = patch_perceptron(dim, width, hidden=dim)
            self.place_presence = nn.Linear(width, 1)
            layers, heads = options.decoder_layers, options.decoder_heads
            self.place_decoder = QueryDecoder(width, layers, heads, dropout=options.dropout)
        self.finding_to_text, self.place_to_text = nn.Linear(width, text_dim), nn.Linear(width, text_dim)

    def query_texts(self, finding: str) -> tuple[str, ...]:
        texts = (self.book.text(finding, facet) for facet in self.options.facets)
        return (" ".join(text for text in texts if text) or self.book.name_of(finding),)

    def encode(self, batch: Batch) -> Encoded:
        """The images, and the centered texts of findings and places."""
        knowledge = EncodedKnowledge(self._finding_features(), places=place_features(self.bank))
        return Encoded(self.image_encoder(batch.images), knowledge=knowledge)

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        o, relations = self.options, require_places(batch)
        assert encoded.knowledge is not None
        assert encoded.knowledge.places is not None
        findings, places = encoded.knowledge.vectors, encoded.knowledge.places
        pathology, anatomy = self.streams(encoded.image)
        finding_answers = self._decode_findings(pathology, findings)
        place_answers = self._decode_places(anatomy, places)
        candidates = o.negatives, self.training, self.ranks
        f_to_a = prototypical_contrast(self.finding_to_text(finding_answers), relations, places, *candidates)
        a_to_f = prototypical_contrast(self.place_to_text(place_answers), relations.mT, findings, *candidates)
        return {
            "finding": self.presence_loss(batch, finding_answers),
            "place": o.place_weight * self._place_loss(batch, place_answers),
            "finding_prototype": o.prototype_weight * f_to_a,
            "place_prototype": o.prototype_weight * a_to_f,
            "relation": o.relation_weight * self._relation_loss(batch, finding_answers, place_answers),
        }

    def _place_loss(self, batch: Batch, answers: Tensor) -> Tensor:
        """L_a."""
        o, logits, states = self.options, self.place_presence(answers)[..., 0], over_findings(require_places(batch))
        has_report = batch.report_mask.any(1)
        return masked_bce(logits, states, o.unmentioned, o.uncertain, o.unmentioned_weight, has_report, self.ranks)

    def _relation_loss(self, batch: Batch, findings: Tensor, places: Tensor) -> Tensor:
        """L_r, of the answers on findings and on places."""
        related = cosines(findings, places) / math.sqrt(findings.shape[-1])  # [B, F, P]; products, not cosines
        states, has_report = require_places(batch).flatten(1), batch.report_mask.any(1)
        return masked_bce(
            related.flatten(1), states, self.options.unstated_relations, has_report=has_report, ranks=self.ranks
        )

    # -------------------------------------------------------------------------------------------- streams and questions

    def streams(self, features: ImageFeatures) -> tuple[ImageFeatures, ImageFeatures]:
        """The features with the patches of the pathology stream, and with those of the anatomy stream."""
        if self.split is None:
            return features, features
        pathology, anatomy = self.split(features.patches)
        return replace(features, patches=pathology), replace(features, patches=anatomy)

    def decode_queries(
        self, features: ImageFeatures, queries: Tensor, need_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """As in `QueryNetwork`, of the pathology stream."""
        return super().decode_queries(self.streams(features)[0], queries, need_attention)

    def _decode_findings(self, pathology: ImageFeatures, texts: Tensor) -> Tensor:
        """f: answers `[B, F, width]` of the pathology stream to texts `[F, text_dim]`."""
        return super().decode_queries(pathology, self.to_query(texts)[:, None])[0]

    def _decode_places(self, anatomy: ImageFeatures, texts: Tensor) -> Tensor:
        """a: answers `[B, L, width]` of the anatomy stream to texts `[L, text_dim]`."""
        memory = self.to_place_memory(anatomy.patches)
        position = grid_position(anatomy.grid, memory.shape[-1], memory)
        return self.place_decoder(self.to_query(texts), memory, position)[0]

    def _finding_features(self) -> Tensor:
        """K^f: texts `[F, text_dim]` of the trained findings, centered."""
        return self.centered_features(self.trained_texts)[0][:, 0]

    # ------------------------------------------------------------------------------------------------------------- use

    def score_places(
        self, images: Tensor, places: Sequence[str] = PLACES, stream: Literal["anatomy", "pathology"] = "anatomy"
    ) -> Tensor:
        """Probability `[B, L]` that something is at each place.

        Args:
            images: `[B, 1, H, W]`. places: names of `medvlp.knowledge.PLACES`.
            stream: which one is asked. The pathology stream never was, and its answers show what the split keeps apart.
        """
        texts = place_features(self.bank)[[get_place(place).index for place in places]]
        pathology, anatomy = self.streams(self.image_encoder(images))
        if stream == "pathology":
            return self.presence(self._decode_findings(pathology, texts))[..., 0].sigmoid()
        return self.place_presence(self._decode_places(anatomy, texts))[..., 0].sigmoid()

    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        pathology, anatomy = self.streams(features)
        findings = self._decode_findings(pathology, self._finding_features())
        places = self._decode_places(anatomy, place_features(self.bank))
        of_findings = (self.presence(findings).sigmoid() * self.finding_to_text(findings)).mean(1)
        of_places = (self.place_presence(places).sigmoid() * self.place_to_text(places)).mean(1)
        patches = self.finding_to_text(self.to_memory(pathology.patches))
        return replace(features, global_=of_findings + of_places, patches=patches)
