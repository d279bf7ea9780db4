"""`QueryNetwork`: what methods share that ask the patches of an image about a finding, by the texts of the finding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.base import Encoded, EncodedKnowledge, Method, MethodParts
from medvlp.methods.options import Heads, Options
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
    decoder_heads: Heads = 4
    dropout: float = Field(default=0.0, ge=0, lt=1)
    unmentioned: Unmentioned = "negative"
    unmentioned_weight: NonNegativeFloat = 1.0
    uncertain: Uncertain = "ignore"


class QueryNetwork(Method):
    """Each finding asks an image K questions, its texts; a decoder answers from the patches, a linear map decides.

        q_ek = W (T(text_ek) - m)          o_bek = decoder(q_ek; M(p_b))          l_be = w [o_be1 ... o_beK] + c

    m is the mean text of the trained findings. It adds nothing to what can be learnt, W having a bias; but texts of one
    register are nearly parallel in a tower that starts from nothing, and queries that look alike learn slowly.

    Queries do not see each other (MedKLIP, KAD and MAVL let those of one image do so), since an answer must not depend
    on what else is asked. Keys carry the position of their patch.

    Zero-shot: score = sigmoid(l), for any finding of the book. Grounding: the attention of the decoder to a finding
    that is named, or else to the phrase itself, which is then the text of the query.

    A subclass says in `texts_of` what is asked of a finding, and in `losses` what is learnt.

    Retrieval: see `encode_images`.

    Args:
        parts, options: as in `Method`.
        to_memory: M, from the width of patches to that of the decoder.
        text_dim: width of what `read_texts` gives.
        questions: K.

    Attributes:
        to_query: W. decoder: the query decoder. presence: the linear map w, c.
        trained_texts: the K texts of each trained finding.
    """

    required_fields: ClassVar[frozenset[BatchField]] = frozenset({BatchField.FINDINGS})
    options: QueryOptions

    def __init__(
        self, parts: MethodParts, options: QueryOptions, to_memory: nn.Module, text_dim: int, questions: int = 1
    ) -> None:
        super().__init__(parts, options)
        width = options.decoder_width
        self.to_query, self.to_memory = nn.Linear(text_dim, width), to_memory
        self.decoder = QueryDecoder(width, options.decoder_layers, options.decoder_heads, dropout=options.dropout)
        self.presence = nn.Linear(questions * width, 1)
        self.questions = questions
        self.trained_texts = tuple(self.texts_of(finding) for finding in self.findings)

    @abstractmethod
    def texts_of(self, finding: str) -> tuple[str, ...]:
        """The K texts that ask for a finding of the book; empty where the book has none."""

    def read_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Texts as queries are made of them, `global_ [N, text_dim]`."""
        return self.bank(texts)

    def encode(self, batch: Batch) -> Encoded:
        """The images, and the queries of the trained findings."""
        image = self.image_encoder(batch.images)
        return Encoded(image, knowledge=self.encode_queries(self.trained_texts))

    def centered_features(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """K texts of each of F findings -> features less m, `[F, K, text_dim]`; and bool `[F, K]`, False where a text
        is empty: it says nothing in particular, and is read as m."""
        read = self._read(texts)
        mean = self._mean(read if tuple(texts) == self.trained_texts else self._read(self.trained_texts))
        known, shape = read.mask.any(1), (len(texts), self.questions)
        return ((read.global_ - mean) * known[:, None]).unflatten(0, shape), known.unflatten(0, shape)

    def encode_queries(self, texts: Sequence[Sequence[str]]) -> EncodedKnowledge:
        """K texts of each of F findings -> queries `[F, K, width]`, and which of the texts are not empty."""
        features, known = self.centered_features(texts)
        return EncodedKnowledge(self.to_query(features), known)

    def decode_queries(
        self, features: ImageFeatures, queries: Tensor, need_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """What images answer to queries `[F, K, width]`.

        Returns:
            answers `[B, F, K width]`, and attention `[B, F, P]` as the mean over the K questions when asked for.
        """
        memory = self.to_memory(features.patches)
        position = grid_position(features.grid, memory.shape[-1], memory)
        answers, attention = self.decoder(queries.flatten(0, 1), memory, position, need_attention)
        shape = queries.shape[:2]
        looked = None if attention is None else attention.unflatten(1, shape).mean(2)
        return answers.unflatten(1, shape).flatten(2), looked

    def presence_loss(self, batch: Batch, answers: Tensor) -> Tensor:
        """Binary cross-entropy of the answers, where labels count."""
        o, has_report, logits = self.options, batch.report_mask.any(1), self.presence(answers)[..., 0]
        return masked_bce(
            logits, batch.findings, o.unmentioned, o.uncertain, o.unmentioned_weight, has_report, self.ranks
        )

    def _read(self, texts: Sequence[Sequence[str]]) -> TextFeatures:
        return self.read_texts([text for each in texts for text in each])

    @staticmethod
    def _mean(read: TextFeatures) -> Tensor:
        """The mean m of the texts that are not empty; the features of empty ones are zero."""
        return read.global_.sum(0) / read.mask.any(1).sum().clamp_min(1)

    # ------------------------------------------------------------------------------------------------------------- use

    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        """An image in the space of texts: its findings' texts, each weighted by its score. Patches are in the space of
        the decoder.

        No loss compares whole images with whole reports, so that retrieval rests on what the findings say.
        """
        texts, known = self.centered_features(self.trained_texts)
        answers, _ = self.decode_queries(features, self.to_query(texts))
        text = texts.sum(1) / known.sum(1, keepdim=True).clamp_min(1)
        global_ = self.presence(answers)[..., 0].sigmoid() @ text
        return replace(features, global_=global_, patches=self.to_memory(features.patches))

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Texts less the mean m."""
        features, mean = self.read_texts(texts), self._mean(self._read(self.trained_texts))
        return replace(features, global_=features.global_ - mean, tokens=features.tokens - mean)

    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """As in `Method`: what the decoder answers to the texts of each finding."""
        queries = self.encode_queries(tuple(self.texts_of(finding) for finding in findings))
        answers, _ = self.decode_queries(features, queries.vectors)
        return self.presence(answers)[..., 0].sigmoid()

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Where the decoder looks for a named finding, or for what the phrase says: `[B, h, w]`, sums to 1."""
        finding = finding_named(self.book, phrase)
        texts = (phrase,) * self.questions if finding is None else self.texts_of(finding)
        _, attention = self.decode_queries(features, self.encode_queries((texts,)).vectors, need_attention=True)
        return cast(Tensor, attention)[:, 0].unflatten(1, features.grid)


def patch_perceptron(in_dim: int, width: int, hidden: int | None = None) -> nn.Module:
    """From the width of patches to that of the decoder: linear, ReLU, linear (MedKLIP); `hidden` is `width` if None."""
    hidden = hidden or width
    return nn.Sequential(nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, width))


def finding_named(book: KnowledgeBook, phrase: str) -> str | None:
    """The finding of a book whose name or id the phrase is, if any; case and a full stop do not count."""
    spoken = phrase.strip().rstrip(".").lower()
    return next((f for f in book.findings if spoken in (f.lower(), book.name_of(f).lower())), None)


def states_of_places(batch: Batch) -> Tensor:
    """`Batch.places`.

    Raises:
        ValueError: the batch was made without.
    """
    if batch.places is None:
        raise ValueError("the batch holds no places; BatchLoader(..., places=True) makes them from reports")
    return batch.places
