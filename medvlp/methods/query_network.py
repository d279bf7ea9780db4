"""`QueryNetwork`: what methods share whose queries are texts of a finding, decoded against the patches of an image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import AttentionHeads, Encoded, EncodedKnowledge, Method, MethodParts, Options
from medvlp.models import ImageFeatures, QueryDecoder, TextFeatures, grid_position
from medvlp.objectives import Uncertain, Unmentioned, masked_bce


class QueryOptions(Options):
    """Settings of every query network.

    Attributes:
        decoder_width, decoder_layers, decoder_heads: of the query decoder; `dropout`: in its layers.
        unmentioned, unmentioned_weight, uncertain: what such labels count as; see `masked_bce`. Devices and rare
            findings are hardly ever denied in reports, and with `ignore` have next to no negatives.
    """

    decoder_width: PositiveInt = 128
    decoder_layers: PositiveInt = 2
    decoder_heads: AttentionHeads = 4
    dropout: float = Field(default=0.0, ge=0, lt=1)
    unmentioned: Unmentioned = "negative"
    unmentioned_weight: NonNegativeFloat = 1.0
    uncertain: Uncertain = "ignore"


class QueryNetwork(Method):
    """The K texts of a finding are queries; a decoder answers them from the patches, a linear map gives the logit.

        q_ek = W (T(text_ek) - m)          o_bek = decoder(q_ek; M(p_b))          l_be = w [o_be1 ... o_beK] + c

    m is the mean text of the trained findings. It adds nothing to what is learned, W having a bias; but texts of one
    register are nearly parallel in an encoder without pretraining, and similar queries learn slowly.

    Queries do not attend to each other (in MedKLIP, KAD and MAVL they do), since an answer must not depend on the other
    queries. Keys carry the position of their patch.

    Zero-shot: score = sigmoid(l), for any finding of the book. Grounding: the attention of the decoder to a finding
    that is named, or else to the phrase itself, which is then the text of the query.

    A subclass defines `query_texts` and `losses`.

    Retrieval: see `encode_images`.

    Args:
        parts, options: as in `Method`.
        to_memory: M, from the width of patches to that of the decoder.
        text_dim: width of what `encode_query_texts` gives.
        texts_per_finding: K.

    Attributes:
        to_query: W. decoder: the query decoder. presence: the linear map w, c.
        trained_texts: the K texts of each trained finding.

    Examples:
        >>> from medvlp.methods import build_method
        >>> method = build_method("kad", **vars(MethodParts.tiny(["edema"])))
        >>> isinstance(method, QueryNetwork), method.query_texts("edema")
        (True, ('pulmonary edema',))
    """

    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.FINDINGS})
    options: QueryOptions

    def __init__(
        self, parts: MethodParts, options: QueryOptions, to_memory: nn.Module, text_dim: int, texts_per_finding: int = 1
    ) -> None:
        super().__init__(parts, options)
        width = options.decoder_width
        self.to_query, self.to_memory = nn.Linear(text_dim, width), to_memory
        self.decoder = QueryDecoder(width, options.decoder_layers, options.decoder_heads, dropout=options.dropout)
        self.presence = nn.Linear(texts_per_finding * width, 1)
        self.texts_per_finding = texts_per_finding
        self.trained_texts = tuple(self.query_texts(finding) for finding in self.findings)

    @abstractmethod
    def query_texts(self, finding: str) -> tuple[str, ...]:
        """The K texts of a finding of the book; empty where the book has none."""

    def encode_query_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts from which queries are made, `global_ [N, text_dim]`."""
        return self.bank(texts)

    def encode(self, batch: Batch) -> Encoded:
        """The images, and the queries of the trained findings."""
        image = self.image_encoder(batch.images)
        return Encoded(image, knowledge=self.encode_queries(self.trained_texts))

    def centered_features(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """K texts of each of F findings -> features less m, `[F, K, text_dim]`; and bool `[F, K]`, False where a text
        is empty, which counts as m."""
        features = self._encode(texts)
        mean = self._mean(features if tuple(texts) == self.trained_texts else self._encode(self.trained_texts))
        known, shape = features.mask.any(1), (len(texts), self.texts_per_finding)
        return ((features.global_ - mean) * known[:, None]).unflatten(0, shape), known.unflatten(0, shape)

    def encode_queries(self, texts: Sequence[Sequence[str]]) -> EncodedKnowledge:
        """K texts of each of F findings -> queries `[F, K, width]`, and which of the texts are not empty."""
        features, known = self.centered_features(texts)
        return EncodedKnowledge(self.to_query(features), known)

    def decode_queries(
        self, features: ImageFeatures, queries: Tensor, need_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """The answers of images to queries `[F, K, width]`.

        Returns:
            answers `[B, F, K width]`, and attention `[B, F, P]` as the mean over the K texts where it is needed.
        """
        memory = self.to_memory(features.patches)
        position = grid_position(features.grid, memory.shape[-1], memory)
        answers, attention = self.decoder(queries.flatten(0, 1), memory, position, need_attention)
        shape = queries.shape[:2]
        attention = None if attention is None else attention.unflatten(1, shape).mean(2)
        return answers.unflatten(1, shape).flatten(2), attention

    def presence_loss(self, batch: Batch, answers: Tensor) -> Tensor:
        """Binary cross-entropy of the answers, where labels count."""
        o, has_report, logits = self.options, batch.report_mask.any(1), self.presence(answers)[..., 0]
        return masked_bce(
            logits, batch.findings, o.unmentioned, o.uncertain, o.unmentioned_weight, has_report, self.ranks
        )

    def _encode(self, texts: Sequence[Sequence[str]]) -> TextFeatures:
        return self.encode_query_texts([text for each in texts for text in each])

    @staticmethod
    def _mean(features: TextFeatures) -> Tensor:
        """The mean m of the texts that are not empty; the features of empty ones are zero."""
        return features.global_.sum(0) / features.mask.any(1).sum().clamp_min(1)

    # ------------------------------------------------------------------------------------------------------------- use

    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        """An image in the space of texts: its findings' texts, each weighted by its score. Patches are in the space of
        the decoder.

        No loss compares whole images with whole reports, so that retrieval rests on the findings alone.
        """
        texts, known = self.centered_features(self.trained_texts)
        answers, _ = self.decode_queries(features, self.to_query(texts))
        text = texts.sum(1) / known.sum(1, keepdim=True).clamp_min(1)
        global_ = self.presence(answers)[..., 0].sigmoid() @ text
        return replace(features, global_=global_, patches=self.to_memory(features.patches))

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Texts less the mean m."""
        features, mean = self.encode_query_texts(texts), self._mean(self._encode(self.trained_texts))
        return replace(features, global_=features.global_ - mean, tokens=features.tokens - mean)

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`: the answers of the decoder to the texts of each finding."""
        queries = self.encode_queries(tuple(self.query_texts(finding) for finding in findings))
        answers, _ = self.decode_queries(features, queries.vectors)
        return self.presence(answers)[..., 0].sigmoid()

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Attention of the decoder to a named finding, or else to the phrase: `[B, h, w]`, sums to 1."""
        finding = match_finding(self.book, phrase)
        texts = (phrase,) * self.texts_per_finding if finding is None else self.query_texts(finding)
        _, attention = self.decode_queries(features, self.encode_queries((texts,)).vectors, need_attention=True)
        return cast(Tensor, attention)[:, 0].unflatten(1, features.grid)


def patch_perceptron(in_dim: int, width: int, hidden: int | None = None) -> nn.Module:
    """From the width of patches to that of the decoder: linear, ReLU, linear (MedKLIP); `hidden` is `width` if None."""
    hidden = hidden or width
    return nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, width))


def match_finding(book: KnowledgeBook, phrase: str) -> str | None:
    """The finding of a book whose name or id the phrase is, if any; case and a full stop do not count."""
    name = phrase.strip().rstrip(".").lower()
    return next((f for f in book.findings if name in (f.lower(), book.name_of(f).lower())), None)


def require_places(batch: Batch) -> Tensor:
    """`Batch.places`.

    Raises:
        ValueError: the batch was made without.
    """
    if batch.places is None:
        raise ValueError("the batch holds no places; BatchLoader(..., places=True) makes them from reports")
    return batch.places
