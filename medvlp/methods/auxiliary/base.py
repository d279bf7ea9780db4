"""`AuxiliaryLoss`, `Augmentation`: what any method may be trained with besides; `auxiliary:` of a recipe names them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import PositiveFloat
from torch import Tensor, nn

from medvlp.data.batch import Batch, BatchField
from medvlp.methods.base import Encoded, Method, MethodParts, Options
from medvlp.models import ONE_RANK, ImageFeatures, Ranks, TextEncoder
from medvlp.registry import Registry


class AuxiliaryOptions(Options):
    """Settings of every auxiliary loss. `weight`: factor of all its losses.

    Examples:
        >>> AuxiliaryOptions(weight=0.5)
        AuxiliaryOptions(weight=0.5)
    """

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
    """Losses on what the method encoded in the same step, beside the method's own.

    Examples:
        >>> class Sparsity(AuxiliaryLoss):
        ...     reads_text = False
        ...     def losses(self, batch, encoded):
        ...         return {"l1": encoded.image.global_.abs().mean()}
        >>> Sparsity(MethodParts.tiny(["edema"]), AuxiliaryOptions(weight=0.1)).options.weight
        0.1
    """

    @abstractmethod
    def losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """Named scalars; they are logged as `<auxiliary>/<name>`, times `options.weight`. Rules as in `Method.losses`.

        Args:
            batch: of this step.
            encoded: `image` as the method saw it; `report` always where `reads_text` is True.
        """

    def update(self, method: Method) -> None:
        """Called before the losses of each training step; what follows the method's weights, such as a momentum
        encoder, moves here."""


class AugmentedBatch(ABC):
    """What an `Augmentation` made of one batch.

    Attributes:
        batch: what the method and the auxiliary losses are given.

    Examples: see `Augmentation`.
    """

    batch: Batch

    @abstractmethod
    def augment_features(self, features: ImageFeatures) -> ImageFeatures:
        """Features of `batch.images` as the encoder gives them -> as the losses are to see them."""

    @abstractmethod
    def losses(self) -> dict[str, Tensor]:
        """Losses of the augmentation itself, after the method's; as in `AuxiliaryLoss`."""


class Augmentation(Auxiliary):
    """Changes the batch, and the image features, before any loss sees them.

    Examples:
        >>> import torch
        >>> parts, cutmix = MethodParts.tiny(["edema"]), AUXILIARY.get("medcutmix")
        >>> batch = parts.make_batch(torch.zeros(2, 1, 64, 64), ["Mild edema.", "Normal."])
        >>> augmented = cutmix(parts, cutmix.Options()).eval().augment(batch, parts.text_encoder)
        >>> augmented.strength  # nothing is mixed in evaluation mode
        tensor([0., 0.])
    """

    @abstractmethod
    def augment(self, batch: Batch, text_encoder: TextEncoder) -> AugmentedBatch:
        """Augment a batch; in evaluation mode it comes through as it is."""


def _check_auxiliary(member: object) -> None:
    if not (isinstance(member, type) and issubclass(member, Auxiliary)):
        raise TypeError(f"{member!r} is no class derived from AuxiliaryLoss or Augmentation")


AUXILIARY: Registry[type[Auxiliary]] = Registry(
    "auxiliary loss", "medvlp.methods.auxiliary", "medvlp.auxiliary", _check_auxiliary
)
register_auxiliary = AUXILIARY.register
