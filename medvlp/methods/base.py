"""`Method`: one published system. What it encodes, its losses, and its own way to score a finding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.knowledge import KnowledgeBook
from medvlp.methods.options import Options
from medvlp.models import (
    ONE_RANK,
    ImageEncoder,
    ImageFeatures,
    Ranks,
    ReportTokenizer,
    TextBank,
    TextEncoder,
    TextFeatures,
)
from medvlp.objectives import SampledSentences


@dataclass(frozen=True)
class MethodParts:
    """What every method is built on.

    Attributes:
        image_encoder, text_encoder, tokenizer: as the recipe names them.
        findings: finding ids, the columns of `Batch.findings`.
        book: the texts that a method may read of any finding.
    """

    image_encoder: ImageEncoder
    text_encoder: TextEncoder
    tokenizer: ReportTokenizer
    findings: tuple[str, ...]
    book: KnowledgeBook


@dataclass(frozen=True)
class EncodedSentences:
    """N sentences of a batch: their features, not projected, and which sentences they are."""

    features: TextFeatures
    sampled: SampledSentences


@dataclass(frozen=True)
class EncodedKnowledge:
    """Texts of F findings as a method compares them with images.

    Attributes:
        vectors: `[F, D]`, or `[F, K, D]` for K texts of each finding.
        known: bool `[F, K]`, False where the book has no such text; None where it has all.
        places: `[P, D]` of the sentences of places; None for methods that read none.
    """

    vectors: Tensor
    known: Tensor | None = None
    places: Tensor | None = None


@dataclass(frozen=True)
class Encoded:
    """What a method encoded of a batch. A method with more to say adds fields in a frozen subclass.

    Attributes:
        image: features of `batch.images` as the image encoder gives them, not projected. Nothing else that is encoded
            depends on the images, so that an augmentation may replace them.
        report: features of `batch.report_tokens`, not projected; None where the method reads no whole report as it is.
        sentences: of reports. knowledge: of the findings' texts. None where the method reads none.
    """

    image: ImageFeatures
    report: TextFeatures | None = None
    sentences: EncodedSentences | None = None
    knowledge: EncodedKnowledge | None = None


class Method(nn.Module, ABC):
    """An `nn.Module` that encodes a batch, compares what it encoded, and scores findings.

    A subclass is a composition of shared parts (`medvlp.models`, `medvlp.objectives`), 50 to 200 lines, registered with
    `@register_method("name")`; see `docs/adding-a-method.md`. Calling it on a batch gives its losses.

    Class attributes:
        Options: the settings that a recipe may give under `options:`.
        required_fields: what a batch must hold for the losses to mean something. Training refuses data that lack one.
        reads_text: False for a method without a text tower, which cannot read a phrase.

    Attributes:
        ranks: of a distributed run; what compares images with each other passes it to its loss, and gathers the columns
            with `ranks.gather`. The training loop sets it.
        image_encoder: the pretrained trunk, which a segmentation or classification head is put on.
        text_encoder, bank: its text tower, and features of fixed texts, computed once for the same weights; absent
            where `reads_text` is False.
        findings: ids that it is trained on. book, tokenizer, options: as given.
    """

    Options: ClassVar[type[Options]] = Options
    required_fields: ClassVar[frozenset[BatchField]] = frozenset()
    reads_text: ClassVar[bool] = True
    ranks: Ranks = ONE_RANK

    def __init__(self, parts: MethodParts, options: Any) -> None:
        super().__init__()
        self.image_encoder = parts.image_encoder
        if self.reads_text:
            self.text_encoder = parts.text_encoder
            self.bank = TextBank(parts.text_encoder, parts.tokenizer)
        self.tokenizer, self.findings, self.book = parts.tokenizer, parts.findings, parts.book
        self.options = options

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raises ValueError for a required field that no batch has."""
        super().__init_subclass__(**kwargs)
        cls.required_fields = frozenset(map(BatchField, cls.required_fields))

    # -------------------------------------------------------------------------------------------------------- training

    def encode(self, batch: Batch) -> Encoded:
        """Everything of a step that passes an encoder, once: here the images, and reports where they are required."""
        image = self.image_encoder(batch.images)
        reads = self.reads_text and BatchField.REPORTS in self.required_fields
        return Encoded(image, self.text_encoder(batch.report_tokens, batch.report_mask) if reads else None)

    @abstractmethod
    def losses(self, batch: Batch, encoded: Any) -> dict[str, Tensor]:
        """Named scalar losses, each already weighted: training sums them. No host sync, no Python loop over images.

        Args:
            batch: its labels, masks and ids; images and texts are read in `encoded` alone.
            encoded: what `encode` gave for this batch.
        """

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`encode`, then `losses`."""
        return self.losses(batch, self.encode(batch))

    # ------------------------------------------------------------------------------------------------------------- use

    @abstractmethod
    def project_images(self, features: ImageFeatures) -> ImageFeatures:
        """Features of the image encoder -> the space in which `global_` compares with `encode_texts(...).global_`."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Texts -> features in the same space as `project_images`."""

    @abstractmethod
    def score_encoded(self, features: ImageFeatures, findings: Sequence[str]) -> Tensor:
        """Probability `[B, F]` that each finding (knowledge id) is present, by the method's own zero-shot path.

        Args:
            features: of the image encoder, not projected; several questions of one image share them.
            findings: ids.
        """

    def heat_map_encoded(self, features: ImageFeatures, phrase: str) -> Tensor:
        """Where a phrase is: `[B, h, w]` on the patch grid, larger is likelier; here its cosine with each patch."""
        projected, text = self.project_images(features), self.encode_texts([phrase])
        patches = nn.functional.normalize(projected.patches, dim=-1)
        target = nn.functional.normalize(text.global_, dim=-1)[0]
        return (patches @ target).unflatten(1, features.grid)

    def encode_images(self, images: Tensor) -> ImageFeatures:
        """`project_images` of images `[B, 1, H, W]`."""
        return self.project_images(self.image_encoder(images))

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        """`score_encoded` of images `[B, 1, H, W]`."""
        return self.score_encoded(self.image_encoder(images), findings)

    @torch.no_grad()
    def heat_map(self, images: Tensor, phrase: str) -> Tensor:
        """`heat_map_encoded` of images `[B, 1, H, W]`, without gradient."""
        return self.heat_map_encoded(self.image_encoder(images), phrase)
