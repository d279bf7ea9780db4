"""`Method`: one published system. Its parts, its losses, and its own way to score a finding."""

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


class Method(nn.Module, ABC):
    """An `nn.Module` with three verbs: `losses`, `encode_images` / `encode_texts`, and `score`.

    A subclass is a composition of shared parts (`medvlp.models`, `medvlp.objectives`), 50 to 200 lines, registered with
    `@register("name")` of `medvlp.methods.registry`; see `docs/adding-a-method.md`.

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

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar losses, each already weighted: the loop sums them. No host sync, no Python loop over images."""

    @abstractmethod
    def encode_images(self, images: Tensor) -> ImageFeatures:
        """Images `[B, 1, H, W]` -> features; `global_` is what retrieval compares with `encode_texts(...).global_`."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Texts -> features in the same space as `encode_images`."""

    @abstractmethod
    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        """Probability `[B, F]` that each finding (knowledge id) is present, by the method's own zero-shot path."""

    @torch.no_grad()
    def heat_map(self, images: Tensor, phrase: str) -> Tensor:
        """Where a phrase is: `[B, h, w]` on the patch grid, larger is likelier; here its cosine with each patch."""
        features, text = self.encode_images(images), self.encode_texts([phrase])
        patches = nn.functional.normalize(features.patches, dim=-1)
        target = nn.functional.normalize(text.global_, dim=-1)[0]
        return (patches @ target).unflatten(1, features.grid)
