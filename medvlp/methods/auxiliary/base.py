"""`AuxiliaryLoss`, `Augmentation`: what any method may be trained with besides; `auxiliary:` of a recipe names them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import PositiveFloat
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.auxiliary.step import Step
from medvlp.methods.base import MethodParts
from medvlp.methods.options import Options
from medvlp.models import ONE_RANK, ImageFeatures, Ranks, TextEncoder


class AuxiliaryOptions(Options):
    """Settings of every auxiliary loss. `weight`: factor of all its losses."""

    weight: PositiveFloat = 1.0


class Auxiliary(nn.Module, ABC):
    """A part of the training that carries over from method to method: an `AuxiliaryLoss` or an `Augmentation`.

    It is registered with `@register_auxiliary("name")`, and has heads of its own: what it teaches reaches the encoders,
    while the method's own heads, `score` and `heat_map` stay what they are.

    Class attributes:
        Options: the settings that a recipe may give under `auxiliary.<name>`.
        required_fields: as in `Method`.
        reads_text: True for one that uses the method's text tower; a method without one refuses it.

    Attributes:
        options: as given. ranks: of a distributed run, as in `Method`.
    """

    Options: ClassVar[type[AuxiliaryOptions]] = AuxiliaryOptions
    required_fields: ClassVar[frozenset[BatchField]] = frozenset()
    reads_text: ClassVar[bool] = True
    ranks: Ranks = ONE_RANK

    def __init__(self, parts: MethodParts, options: Any) -> None:
        super().__init__()
        self.options = options

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raises ValueError for a required field that no batch has."""
        super().__init_subclass__(**kwargs)
        cls.required_fields = frozenset(map(BatchField, cls.required_fields))


class AuxiliaryLoss(Auxiliary):
    """An auxiliary loss that adds losses on what the method's encoders gave in the same step."""

    @abstractmethod
    def losses(self, step: Step) -> dict[str, Tensor]:
        """Named scalars; they are logged as `<extra>/<name>`, times `options.weight`. The rules of `Method.losses`."""


class Change(ABC):
    """What an `Augmentation` does to one batch.

    Attributes:
        batch: what the method and the other extras are given.
    """

    batch: Batch

    @abstractmethod
    def features(self, features: ImageFeatures) -> ImageFeatures:
        """Features of `batch.images` as the encoder gives them -> as the method is to see them."""

    @abstractmethod
    def losses(self) -> dict[str, Tensor]:
        """Losses of the augmentation itself, after the method's; as in `AuxiliaryLoss`."""


class Augmentation(Auxiliary):
    """An auxiliary loss that changes the batch, and the image features, before any loss sees them."""

    @abstractmethod
    def begin(self, batch: Batch, text_encoder: TextEncoder) -> Change:
        """Decide what happens to a batch; in evaluation mode it comes through as it is."""
