"""DeViDe: reports, definitions and radiographic descriptions, aligned with images and patches.

The idea (Luo, Zhou, Royer, Sekuboyina, Menze: DeViDe: Faceted medical knowledge for improved medical vision-language
pre-training, arXiv 2404.03618): a report says what this patient shows, a definition is too abstract to see, so the
model also reads how a finding looks. Several descriptions then belong to one image, which a one-to-one contrast cannot
say.

    L = L_itc + L_tnc + a L_pta + L_bce                                           (the sum as the paper states it)

With v_b the image, t_b its report, p_bp its patches, s_n the batch's sentences, K_ef facet f of finding e, all unit
vectors, and y the labels in four states:

    L_itc   target contrast of cos(v, t) / tau                                    [B, B]
    L_tnc   mean_f multi-positive contrast of cos(v_b, K_ef) / tau_f              [B, E]; unmentioned leave both sums
    L_pta   target contrast of 1/k log mean_p exp(k s_n p_bp) / tau               [B, N]; s_n states a presence
    L_bce   q_be = W r_be, r_be = sum_f softmax_f(v_b K_ef) K_ef                  knowledge retrieval
            z_be = norm(P decoder(q_be; p_b))                                     one projection for each finding
            l_be = exp(s) cos(z_be, r_be) + c,   BCE where y is known

Faithful: the four terms, both kinds of description, several positives for an image, and descriptions in one register:
`knowledge.homogenize` has a language model rewrite the recipe's book, as the paper does; the default book needs none.
Reconstructed (no code was published, and the formulas were not at hand): every formula above, from the lineage of
MedKLIP, KAD and MAVL. In particular the projection for many descriptions is read as z_be: each finding has its own view
of the image, so that positives of different findings do not pull on one vector.
Left out: the fusion of views that the paper names; nothing is known of its form.
Departs: the text tower learns (the paper has a frozen Med-KEBERT; `text_encoder.freeze` does that here). The features
of the book are centered on their mean over the trained findings before they are projected, since texts of one register
are nearly parallel in a tower that starts from nothing, and queries that look alike learn slowly. Targets may join
images whose reports agree (`false_negatives`). A sentence is right for each image whose report agrees with what it
states; one that only denies has no place in an image, and is not aligned with patches. What a report leaves unmentioned
counts as absent (`unmentioned: ignore` removes it from every sum, as the card of the paper is read).

Zero-shot: any finding of the book, trained on or not, is asked by its descriptions: score = sigmoid(l). Grounding: the
attention of the decoder to a finding that is named; for any other phrase, the patches that are like it.

Ablations: `facets: [definition]` or `[name]` reads no descriptions, with one facet there is nothing to retrieve, and a
weight of 0 leaves a term out (`patch_weight: 0`: no patch alignment).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, cast

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import (
    AttentionHeads,
    Encoded,
    EncodedKnowledge,
    EncodedSentences,
    Facets,
    Method,
    MethodParts,
    Options,
    register_method,
)
from medvlp.methods.dual_encoder import report_contrast
from medvlp.methods.query_network import match_finding
from medvlp.models import (
    ImageFeatures,
    ProjectionHead,
    QueryDecoder,
    Temperature,
    TextFeatures,
    book_features,
    book_texts,
    cosines,
    grid_position,
    retrieve_facets,
    without_autocast,
)
from medvlp.objectives import (
    TargetKind,
    Uncertain,
    Unmentioned,
    info_nce,
    masked_bce,
    multi_positive_nce,
    patch_sentence_similarity,
    sample_sentences,
    sentence_targets,
    target_ancestors,
)
from medvlp.reports.states import FindingState


class DeViDeOptions(Options):
    """Settings of `devide`.

    Attributes:
        facets: facets of the book that are read, any number of them, and `name`; a finding may lack some.
        dim: width of the space in which images and texts are compared.
        decoder_width, decoder_layers, decoder_heads: of the query decoder.
        false_negatives: target of the report contrast; see `target_matrix`.
        sentence_target: target of the patch-sentence contrast; see `sentence_targets`.
        sentences: sentences of each report that a step aligns with patches, drawn among those that state that a finding
            is there.
        unmentioned, unmentioned_weight, uncertain: what such labels count as; see `masked_bce`. With `ignore`,
            zero-shot suffers where absence is hardly ever stated: on phantoms, devices lose 0.1 to 0.2 of AUROC.
        report_weight, knowledge_weight, patch_weight, finding_weight: of the four losses; 0 leaves one out.
        grounding: what heat maps show: for a phrase that names a finding where the query decoder looks (`decoder`), or
            the patches that are like the phrase (`sentence`). It may be changed in a trained model's recipe.
    """

    facets: Facets = ("definition", "radiographic")
    dim: PositiveInt = 128
    decoder_width: PositiveInt = 128
    decoder_layers: PositiveInt = 2
    decoder_heads: AttentionHeads = 4
    false_negatives: TargetKind = "same_labels"
    sentence_target: Literal["identity", "same_text", "same_labels"] = "same_labels"
    sentences: PositiveInt = 3
    unmentioned: Unmentioned = "negative"
    unmentioned_weight: NonNegativeFloat = 1.0
    uncertain: Uncertain = "ignore"
    report_weight: NonNegativeFloat = 1.0
    knowledge_weight: NonNegativeFloat = 1.0
    patch_weight: NonNegativeFloat = 0.5
    finding_weight: NonNegativeFloat = 1.0
    grounding: Literal["decoder", "sentence"] = "decoder"


@register_method("devide")
class DeViDe(Method):
    """Faceted knowledge; see the top of the file."""

    Options: ClassVar[type[Options]] = DeViDeOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset(
        {BatchField.REPORTS, BatchField.SENTENCES, BatchField.FINDINGS}
    )
    options: DeViDeOptions
    ancestors: Tensor | None

    def __init__(self, parts: MethodParts, options: DeViDeOptions) -> None:
        super().__init__(parts, options)
        book_texts(parts.book, parts.findings, options.facets)  # facets without any text are refused here
        image_dim, text_dim = parts.image_encoder.dim, parts.text_encoder.dim
        dim, width = options.dim, options.decoder_width
        self.image_head = ProjectionHead(image_dim, dim)
        self.report_head = ProjectionHead(text_dim, dim)
        self.report_scale = Temperature()
        self.facet_heads = nn.ModuleList(ProjectionHead(text_dim, dim) for _ in options.facets)
        self.facet_scales = nn.ModuleList(Temperature() for _ in options.facets)
        self.patch_head = ProjectionHead(image_dim, dim)
        self.sentence_head = ProjectionHead(text_dim, dim)
        self.attention_scale, self.patch_scale = Temperature(0.1), Temperature()
        self.to_query, self.to_memory = nn.Linear(dim, width), nn.Linear(image_dim, width)
        self.decoder = QueryDecoder(width, options.decoder_layers, options.decoder_heads)
        self.finding_head = ProjectionHead(width, dim)
        self.retrieval_scale, self.finding_scale = Temperature(0.1), Temperature(0.1)
        self.finding_bias = nn.Parameter(torch.tensor(-1.0))  # a finding is more often absent than present
        ancestors = target_ancestors(options.false_negatives, parts.findings)
        self.register_buffer("ancestors", ancestors, persistent=False)

    def encode(self, batch: Batch) -> Encoded:
        """The images, the book, the reports, and k sentences of each, as far as their losses have a weight."""
        o = self.options
        image, knowledge = self.image_encoder(batch.images), self.encode_knowledge(self.findings)
        report = self.text_encoder(batch.report_tokens, batch.report_mask) if o.report_weight > 0 else None
        if o.patch_weight == 0:
            return Encoded(image, report, None, knowledge)
        sentences = batch.sentence_tokens, batch.sentence_mask, batch.sentence_findings
        drawn = sample_sentences(*sentences, o.sentences, shuffle=self.training, first="present")
        text = self.text_encoder(drawn.tokens, drawn.mask)
        return Encoded(image, report, EncodedSentences(text, drawn), knowledge)

    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        features, knowledge, o = encoded.image, encoded.knowledge, self.options
        assert knowledge is not None
        image = self.image_head(features.global_)
        terms: dict[str, tuple[float, Callable[[], Tensor]]] = {
            "report": (o.report_weight, lambda: self._report_contrast(batch, image, encoded.report)),
            "knowledge": (o.knowledge_weight, lambda: self._knowledge_contrast(batch, image, knowledge)),
            "patch": (o.patch_weight, lambda: self._patch_alignment(batch, features.patches, encoded.sentences)),
            "bce": (o.finding_weight, lambda: self._finding_bce(batch, features, image, knowledge)),
        }
        return {name: weight * loss() for name, (weight, loss) in terms.items() if weight > 0}

    def _report_contrast(self, batch: Batch, image: Tensor, report: TextFeatures | None) -> Tensor:
        """L_itc."""
        assert report is not None
        logits = self.report_scale(cosines(image, self.ranks.gather(self.report_head(report.global_))))
        return report_contrast(batch, logits, self.options.false_negatives, self.ancestors, ranks=self.ranks)

    def _knowledge_contrast(self, batch: Batch, image: Tensor, knowledge: EncodedKnowledge) -> Tensor:
        """L_tnc. A facet that the book lacks for a finding does not count."""
        unmentioned, has_report = self.options.unmentioned, batch.report_mask.any(1)
        facets, known = [], knowledge.known
        assert known is not None
        for k, scale in enumerate(self.facet_scales):
            states = batch.findings.masked_fill(~known[:, k], FindingState.UNCERTAIN)
            logits = scale(cosines(image, knowledge.vectors[:, k]))
            facets.append(multi_positive_nce(logits, states, unmentioned, has_report=has_report, ranks=self.ranks))
        return torch.stack(facets).mean()

    def _patch_alignment(self, batch: Batch, patches: Tensor, encoded: EncodedSentences | None) -> Tensor:
        """L_pta, over k sentences of each report."""
        o, has_report = self.options, batch.report_mask.any(1)
        assert encoded is not None
        drawn, sentences = encoded.sampled, self.ranks.gather(self.sentence_head(encoded.features.global_))
        similarity = patch_sentence_similarity(self.patch_head(patches), sentences, self.attention_scale.scale)
        states = drawn.states, batch.findings, drawn.image_index, drawn.group, o.sentence_target, self.ranks
        target, valid = sentence_targets(*states, unmentioned=o.unmentioned, has_report=has_report)
        if o.sentence_target == "same_labels":
            valid = valid & self.ranks.gather(drawn.has_present)
        else:  # an unmentioned finding counts only for an image that has a report
            valid = valid & self.ranks.gather(drawn.exists) & has_report[:, None]
        return info_nce(self.patch_scale(similarity), target.float(), valid, ranks=self.ranks)

    def _finding_bce(self, batch: Batch, features: ImageFeatures, image: Tensor, knowledge: EncodedKnowledge) -> Tensor:
        """L_bce."""
        o, has_report = self.options, batch.report_mask.any(1)
        logits, _ = self.decode_findings(features, image, knowledge)
        return masked_bce(
            logits, batch.findings, o.unmentioned, o.uncertain, o.unmentioned_weight, has_report, self.ranks
        )

    # -------------------------------------------------------------------------------------------- knowledge and queries

    def encode_knowledge(self, findings: Sequence[str]) -> EncodedKnowledge:
        """K `[E, K, dim]`, unit vectors of any E findings of the book in its K facets."""
        texts, known = book_features(self.bank, self.book, findings, self.options.facets)
        trained, counts = texts, known
        if tuple(findings) != self.findings:
            trained, counts = book_features(self.bank, self.book, self.findings, self.options.facets)
        centered = texts - trained.sum(0) / counts.sum(0).clamp_min(1)[:, None]
        heads = enumerate(self.facet_heads)
        return EncodedKnowledge(torch.stack([head(centered[:, k]) for k, head in heads], dim=1), known)

    def decode_findings(
        self, features: ImageFeatures, image: Tensor, knowledge: EncodedKnowledge, need_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Logits l `[B, E]` of findings, and the attention `[B, E, P]` of the decoder where it is needed.

        `image` are the unit vectors v `[B, dim]` of the images.
        """
        assert knowledge.known is not None
        with without_autocast(image):
            retrieved = retrieve_facets(image, knowledge.vectors, knowledge.known, self.retrieval_scale.scale)
        memory = self.to_memory(features.patches)
        position = grid_position(features.grid, memory.shape[-1], memory)
        answers, attention = self.decoder(self.to_query(retrieved), memory, position, need_attention)
        wanted = F.normalize(retrieved, dim=-1)
        logits = self.finding_scale((self.finding_head(answers) * wanted).sum(-1)) + self.finding_bias
        return logits, attention

    # ------------------------------------------------------------------------------------------------------------- use

    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        return replace(features, global_=self.image_head(features.global_), patches=self.patch_head(features.patches))

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """`global_` compares with images as reports do, `tokens` with patches as sentences do."""
        features = self.bank(texts)
        return replace(features, global_=self.report_head(features.global_), tokens=self.sentence_head(features.tokens))

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        image, knowledge = self.image_head(features.global_), self.encode_knowledge(findings)
        return self.decode_findings(features, image, knowledge)[0].sigmoid()

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Where a phrase is, `[B, h, w]`: where the query decoder looks for a finding of the book that it names, or
        else, and with `grounding: sentence`, its cosine with each patch, as a sentence of a report."""
        image = self.image_head(features.global_)
        finding = match_finding(self.book, phrase) if self.options.grounding == "decoder" else None
        if finding is not None:
            _, attention = self.decode_findings(features, image, self.encode_knowledge([finding]), need_attention=True)
            return cast(Tensor, attention)[:, 0].unflatten(1, features.grid)
        sentence = self.sentence_head(self.bank([phrase]).global_)
        return cosines(self.patch_head(features.patches), sentence)[..., 0].unflatten(1, features.grid)
