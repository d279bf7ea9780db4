"""`PretrainingObjective`: a method and what it is trained with beside its own losses, as one method."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from medvlp.data.batch import Batch
from medvlp.methods.auxiliary.base import Augmentation, Auxiliary, AuxiliaryLoss, AuxiliaryOptions, Change
from medvlp.methods.auxiliary.registry import AUXILIARY
from medvlp.methods.auxiliary.step import Step
from medvlp.methods.base import Method, MethodParts
from medvlp.models import ImageFeatures, Ranks, TextFeatures

_OLD_PREFIX = "extras."


class PretrainingObjective(Method):
    """The method's verbs are the method's own; `losses` are its losses and those of the auxiliary.

    Weights of both are in one state dict, as `method.*` and `auxiliary.<name>.*`. Every other one is the method's.

    Args:
        method: any.
        auxiliary losses: by name, in the order in which augmentations are applied.

    Raises:
        ValueError: an auxiliary loss reads text, and the method has no text tower.
    """

    def __init__(self, method: Method, auxiliary: Mapping[str, Auxiliary]) -> None:
        nn.Module.__init__(self)
        for name, part in auxiliary.items():
            if part.reads_text and not method.reads_text:
                raise ValueError(
                    f"auxiliary.{name}: it reads reports with the method's text tower, and {type(method).__name__} has "
                    "none; leave it out, or take a vision-language method such as clip"
                )
        self.method, self.auxiliary = method, nn.ModuleDict(auxiliary)
        # What stands on the class of another method is for this one known only when it is built.
        self.required_fields = method.required_fields.union(*(part.required_fields for part in auxiliary.values()))  # type: ignore[misc]
        self.reads_text = method.reads_text  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("method"), name)

    @property
    def ranks(self) -> Ranks:  # type: ignore[override]
        """Of a distributed run; setting it reaches the method and every auxiliary loss."""
        return self.method.ranks

    @ranks.setter
    def ranks(self, ranks: Ranks) -> None:
        self.method.ranks = ranks
        for part in self._by_name().values():
            part.ranks = ranks

    def _by_name(self) -> dict[str, Auxiliary]:
        return cast(dict[str, Auxiliary], dict(self.auxiliary.items()))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The method's losses by their names, and those of each part as `<part>/<name>`."""
        changes: dict[str, Change] = {}
        for name, part in self._by_name().items():
            if isinstance(part, Augmentation):
                changes[name] = part.begin(batch, self.method.text_encoder)
                batch = changes[name].batch
        with Step(self.method, batch, [change.features for change in changes.values()]) as step:
            terms = dict(self.method.losses(batch))
        for name, part in self._by_name().items():
            added = part.losses(step) if isinstance(part, AuxiliaryLoss) else changes[name].losses()
            terms |= {f"{name}/{term}": part.options.weight * loss for term, loss in added.items()}
        return terms

    def encode_images(self, images: Tensor) -> ImageFeatures:
        return self.method.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        return self.method.encode_texts(texts)

    def score(self, images: Tensor, findings: Sequence[str]) -> Tensor:
        return self.method.score(images, findings)

    def heat_map(self, images: Tensor, phrase: str) -> Tensor:
        return self.method.heat_map(images, phrase)


def with_auxiliary(method: Method, parts: MethodParts, chosen: Mapping[str, AuxiliaryOptions]) -> Method:
    """The method with auxiliary losses; itself where none is chosen.

    Args:
        method: built from `parts`. chosen: the options of each auxiliary loss, by registered name.

    Raises:
        ValueError: see `PretrainingObjective`.
    """
    if not chosen:
        return method
    return PretrainingObjective(method, {name: AUXILIARY.get(name)(parts, options) for name, options in chosen.items()})


def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by their names of today: those of auxiliary losses began with `extras.` in models of version 0.1."""
    if any(name.startswith(_OLD_PREFIX) for name in weights):
        logging.getLogger(__name__).info("weights named `extras.*` are read as `auxiliary.*`")
    return {
        f"auxiliary.{name.removeprefix(_OLD_PREFIX)}" if name.startswith(_OLD_PREFIX) else name: tensor
        for name, tensor in weights.items()
    }
