"""KAD: a text encoder learns a knowledge graph, and a disease query network reads images and reports through it.

The idea (Zhang, Wu, Zhang, Xie, Wang: Knowledge-enhanced visual-language pre-training on chest radiology images, Nature
Communications 2023): a text encoder that knows what findings are and how they hang together makes queries of their
names, and the same network must find them in the image and in its report.

    L = L_knowledge + L_report + L_image + L_text

With T a text encoder and its head, onto the unit sphere, n_e the name of finding e, v_b the image, t_b = T(report_b),
p_b the patches, and (a_i, b_i) pairs of texts that mean the same concept (`KnowledgePairs`):

    L_knowledge   multi-positive contrast of cos(T(a_i), T(b_j)) / tau
    L_report      target contrast of cos(v_b, t_b) / tau'
    L_image       BCE of w decoder(W T(n_e); M p_b) + c           where y_be is known
    L_text        BCE of w decoder(W T(n_e); N t_b) + c           the report as one token; shared decoder, W, w, c

Faithful: the three kinds of pairs and the noise on them, names as queries, one network for both memories, the report as
one token (whose attention is constant), silence as absence, the equal weights.
Departs: the paper trains T first, on UMLS, and freezes it; here both stages are one, on our own book and graph
(`text_learns_from: knowledge` keeps the other losses out of T, which is the paper's separation without its order).
Targets of L_knowledge are distributions (the paper normalizes columns to length 1 by the L2 norm, so that they sum to
the root of k), and answers to one question are right for each other. Scales are exponentials of what is learned, on
unit vectors (the paper's 2.66 is the logarithm, unlearned, on raw vectors). A report is its text, not the entities of
RadGraph with their presence. Equal reports are equal (`false_negatives`). Two logits are one. Queries do not see each
other, keys carry positions, texts are centered; see `QueryNetwork`. The decoder is smaller (4 layers of 768 in the
paper).

Zero-shot: any finding of the book is asked by its name: score = sigmoid of the image's logit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, MethodParts, Options, register_method
from medvlp.methods.dual_encoder import JointEmbedding, report_contrast
from medvlp.methods.query_network import QueryNetwork, QueryOptions
from medvlp.models import ImageFeatures, KnowledgePairs, ProjectionHead, Temperature, TextFeatures, cosines
from medvlp.objectives import TargetKind, info_nce, target_ancestors
from medvlp.reports.states import FindingState


class KADOptions(QueryOptions):
    """Settings of `kad`, beside those of `QueryOptions`.

    Attributes:
        dim: width of the space of T.
        pairs: of texts that a step contrasts.
        text_learns_from: what T learns from: `everything`, or `knowledge` alone, as in the paper. A tower that starts
            from nothing needs the reports.
        false_negatives: target of the report contrast; see `target_matrix`.
        knowledge_weight, report_weight, image_weight, text_weight: of the four losses; 0 leaves one out.
    """

    dim: PositiveInt = 128
    pairs: int = Field(default=32, ge=2)
    text_learns_from: Literal["everything", "knowledge"] = "everything"
    false_negatives: TargetKind = "same_text"
    knowledge_weight: NonNegativeFloat = 1.0
    report_weight: NonNegativeFloat = 1.0
    image_weight: NonNegativeFloat = 1.0
    text_weight: NonNegativeFloat = 1.0


class TextPairFeatures(NamedTuple):
    """Features of K questions and answers, and bool `[K, K]`, True where answer j is right for question i."""

    questions: TextFeatures
    answers: TextFeatures
    same: Tensor


@dataclass(frozen=True)
class KADEncoded(Encoded):
    """Beside images, reports and queries: pairs of texts of the book, where knowledge has a weight."""

    pairs: TextPairFeatures | None = None


@register_method("kad")
class KAD(JointEmbedding, QueryNetwork):
    """Knowledge encoder and disease query network; see the top of the file."""

    Options: ClassVar[type[Options]] = KADOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.REPORTS, BatchField.FINDINGS})
    options: KADOptions
    ancestors: Tensor | None

    def __init__(self, parts: MethodParts, options: KADOptions) -> None:
        image_dim, text_dim, width = parts.image_encoder.dim, parts.text_encoder.dim, options.decoder_width
        super().__init__(parts, options, nn.Linear(image_dim, width), options.dim)
        self.knowledge = KnowledgePairs(parts.book, parts.tokenizer, parts.text_encoder.max_tokens)
        self.text_head = ProjectionHead(text_dim, options.dim, hidden=text_dim)
        self.image_head = ProjectionHead(image_dim, options.dim)
        self.report_memory = nn.Linear(options.dim, width)
        self.knowledge_scale, self.report_scale = Temperature(), Temperature()
        ancestors = target_ancestors(options.false_negatives, parts.findings)
        self.register_buffer("ancestors", ancestors, persistent=False)

    def query_texts(self, finding: str) -> tuple[str, ...]:
        """The name of a finding."""
        return (self.book.name_of(finding),)

    def encode_query_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Texts through T."""
        features = self.bank(texts)
        return replace(features, global_=self._restrict_gradient(self.text_head(features.global_)))

    def encode(self, batch: Batch) -> KADEncoded:
        """The images, the names of the findings, the reports, and pairs of texts; each rank draws its own pairs."""
        image, queries = self.image_encoder(batch.images), self.encode_queries(self.trained_texts)
        report = self.text_encoder(batch.report_tokens, batch.report_mask)
        if self.options.knowledge_weight == 0:
            return KADEncoded(image, report, knowledge=queries)
        drawn = self.knowledge.sample(self.options.pairs, self.training)
        questions = self.text_encoder(drawn.questions, drawn.question_mask)
        answers = self.text_encoder(drawn.answers, drawn.answer_mask)
        return KADEncoded(image, report, None, queries, TextPairFeatures(questions, answers, drawn.same))

    def losses(self, batch: Batch, encoded: KADEncoded) -> dict[str, Tensor]:
        o, features = self.options, encoded.image
        assert encoded.report is not None
        assert encoded.knowledge is not None
        queries = encoded.knowledge.vectors
        report = self._restrict_gradient(self.text_head(encoded.report.global_))
        terms: dict[str, tuple[float, Callable[[], Tensor]]] = {
            "knowledge": (o.knowledge_weight, lambda: self._knowledge_contrast(encoded.pairs)),
            "report": (o.report_weight, lambda: self._report_contrast(batch, features, report)),
            "image": (o.image_weight, lambda: self.presence_loss(batch, self.decode_queries(features, queries)[0])),
            "text": (o.text_weight, lambda: self._text_loss(batch, queries, report)),
        }
        return {name: weight * loss() for name, (weight, loss) in terms.items() if weight > 0}

    def _knowledge_contrast(self, pairs: TextPairFeatures | None) -> Tensor:
        """L_knowledge."""
        assert pairs is not None
        questions, answers = self.text_head(pairs.questions.global_), self.text_head(pairs.answers.global_)
        return info_nce(self.knowledge_scale(cosines(questions, answers)), pairs.same)

    def _report_contrast(self, batch: Batch, features: ImageFeatures, report: Tensor) -> Tensor:
        """L_report."""
        logits = self.report_scale(cosines(self.image_head(features.global_), self.ranks.gather(report)))
        return report_contrast(batch, logits, self.options.false_negatives, self.ancestors, ranks=self.ranks)

    def _text_loss(self, batch: Batch, queries: Tensor, report: Tensor) -> Tensor:
        """L_text. An image without report, which may have labels, does not count."""
        answers, _ = self.decoder(queries.flatten(0, 1), self.report_memory(report)[:, None])
        no_report = ~batch.report_mask.any(1, keepdim=True)
        return self.presence_loss(
            replace(batch, findings=batch.findings.masked_fill(no_report, FindingState.UNMENTIONED)), answers
        )

    def _restrict_gradient(self, features: Tensor) -> Tensor:
        """Features of T, detached where `text_learns_from` lets only the knowledge loss train it."""
        return features.detach() if self.options.text_learns_from == "knowledge" else features
