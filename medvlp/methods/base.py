"""`Method`: one published system. Its parts, its losses, and its own way to score a finding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from medvlp.data.batch import Batch
from medvlp.models.features import ImageFeatures, TextFeatures


class Options(BaseModel):
    """A method's own settings; a subclass names them. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Method(nn.Module, ABC):
    """An `nn.Module` with three verbs: `losses`, `encode_images` / `encode_texts`, and `score`.

    A subclass is a composition of shared parts (`medvlp.models`, `medvlp.objectives`), 50 to 200 lines, registered with
    `@register("name")` of `medvlp.methods.registry`.

    Class attributes:
        Options: the settings that a recipe may give under `options:`.
        needs: what a batch must hold for the losses to mean something: any of `reports`, `sentences`, `findings`,
            `places`. Training refuses at start data that lack one, and says which.
    """

    Options: ClassVar[type[Options]] = Options
    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar losses, each already weighted: the loop sums them. No host sync, no Python loop over the batch."""

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
        """Where a phrase is: `[B, h, w]` on the patch grid, larger is likelier; cosine of patches and phrase by default."""
        features, text = self.encode_images(images), self.encode_texts([phrase])
        patches = nn.functional.normalize(features.patches, dim=-1)
        target = nn.functional.normalize(text.global_, dim=-1)[0]
        return (patches @ target).unflatten(1, features.grid)
